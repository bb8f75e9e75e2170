/* Fuzz target: WebP pictures. */
#include "image_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    image_target(data, size, "RIFF", 4);
    return 0;
}
