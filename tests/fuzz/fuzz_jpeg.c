/* Fuzz target: JPEG pictures, with the EXIF block inside them. */
#include "image_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    image_target(data, size, "\xFF\xD8", 2);
    return 0;
}
