/* Writes a NumPy archive as PovertyMap's pictures are: array x, float32 [8, 16, 16], noise around a number that every band shows.
 * Usage: make_bands FILE NUMBER [broken|small] */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

#define BANDS 8
#define HEADER_BYTES 128

static uint32_t next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

int main(int argc, char **argv)
{
    static unsigned char bytes[HEADER_BYTES + BANDS * 16 * 16 * sizeof(float)];
    static float x[BANDS * 16 * 16];
    const char *how = argc > 3 ? argv[3] : "";
    int side = strcmp(how, "small") == 0 ? 8 : 16, count = BANDS * side * side, error = 0;
    uint32_t state = 1;
    char header[100];
    zip_t *z;

    if (argc < 3)
        return 2;
    for (const char *c = argv[1]; *c; c++)
        state = state * 31 + (uint32_t)*c;
    for (int i = 0; i < count; i++)
        x[i] = (float)(atof(argv[2]) + (double)next(&state) / (1 << 24) - 0.5);
    if (strcmp(how, "broken") == 0)
        memset(x, 0xff, sizeof x[0]);
    memcpy(bytes, "\x93NUMPY\1\0\x76\0", 10);
    snprintf(header, sizeof header, "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d, %d), }", BANDS, side,
             side);
    snprintf((char *)bytes + 10, HEADER_BYTES - 10, "%-117s", header);
    bytes[HEADER_BYTES - 1] = '\n';
    memcpy(bytes + HEADER_BYTES, x, (size_t)count * sizeof x[0]);
    z = zip_open(argv[1], ZIP_CREATE | ZIP_TRUNCATE, &error);
    if (!z ||
        zip_file_add(z, "x.npy", zip_source_buffer(z, bytes, HEADER_BYTES + (size_t)count * sizeof x[0], 0), 0) < 0)
        return 1;
    error = zip_close(z);
    return error != 0;
}
