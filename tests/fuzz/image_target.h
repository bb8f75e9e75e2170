/* The body that the fuzz targets of the picture formats share. */
#ifndef FET_FUZZ_IMAGE_TARGET_H
#define FET_FUZZ_IMAGE_TARGET_H

#include <stddef.h>
#include <stdint.h>

/* Decode `data` when it begins with `magic`, so that the time goes into one parser, and check what an accepted and a
 * refused picture promise. */
void image_target(const uint8_t *data, size_t size, const char *magic, size_t magic_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
