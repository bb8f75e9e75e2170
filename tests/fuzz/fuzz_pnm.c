/* Fuzz target: PPM and PGM pictures. */
#include "image_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    image_target(data, size, "P", 1);
    return 0;
}
