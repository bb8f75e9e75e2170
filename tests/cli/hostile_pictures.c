/* Writes the pictures that tests of the program need and no shell can draw: hostile_pictures FOLDER makes one.png (1 x 1),
 * large.png (20,000 x 20,000, whole) and bomb.png (a header of 60,000 x 60,000 and next to nothing behind it). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit/image_files.h"

static void put(const char *folder, const char *name, const bytes *b)
{
    char path[4096];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    f = fopen(path, "wb");
    if (!f || fwrite(b->data, 1, b->size, f) != b->size || fclose(f) != 0) {
        perror(path);
        exit(1);
    }
}

static bytes gray_zeros(uint32_t side, size_t rows)
{
    bytes zeros = {0}, b = png_header(side, side, 8, 0);

    bytes_add_zlib_zeros(&zeros, rows * ((size_t)side + 1));
    png_chunk(&b, "IDAT", zeros.data, zeros.size);
    png_chunk(&b, "IEND", "", 0);
    bytes_fini(&zeros);
    return b;
}

int main(int argc, char **argv)
{
    fet__image im = {0};
    bytes b;

    if (argc != 2)
        return 2;
    if (fet__image_create(&im, 1, 1) != FET_OK)
        return 1;
    b = ppm_make(&im, 255);
    put(argv[1], "one.ppm", &b);
    bytes_fini(&b);
    fet__image_fini(&im);
    b = gray_zeros(1, 1);
    put(argv[1], "one.png", &b);
    bytes_fini(&b);
    b = gray_zeros(20000, 20000);
    put(argv[1], "large.png", &b);
    bytes_fini(&b);
    b = gray_zeros(60000, 1);
    put(argv[1], "bomb.png", &b);
    bytes_fini(&b);
    return 0;
}
