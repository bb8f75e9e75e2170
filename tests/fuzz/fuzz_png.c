/* Fuzz target: PNG pictures. Inputs are tried as they are, and with their chunks' checksums put right: otherwise
 * nearly every change ends at a checksum. */
#include "image_target.h"
#include "unit/image_files.h"

#define SIGNATURE_BYTES 8

static bytes with_checksums(const uint8_t *data, size_t size)
{
    bytes out = {0};
    size_t at = SIGNATURE_BYTES;

    bytes_add(&out, data, size < SIGNATURE_BYTES ? size : SIGNATURE_BYTES);
    while (size >= 12 && at <= size - 12) {
        size_t length = (size_t)data[at] << 24 | (size_t)data[at + 1] << 16 | (size_t)data[at + 2] << 8 | data[at + 3];
        char type[5] = {(char)data[at + 4], (char)data[at + 5], (char)data[at + 6], (char)data[at + 7], 0};

        if (length > size - 12 - at)
            length = size - 12 - at;
        png_chunk(&out, type, data + at + 8, length);
        at += 12 + length;
    }
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bytes right = with_checksums(data, size);

    image_target(data, size, "\x89PNG", 4);
    image_target(right.data, right.size, "\x89PNG", 4);
    bytes_fini(&right);
    return 0;
}
