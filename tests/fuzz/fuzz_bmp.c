/* Fuzz target: BMP pictures. */
#include "image_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    image_target(data, size, "BM", 2);
    return 0;
}
