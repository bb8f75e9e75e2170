/* Writes the seed files of the picture targets: `image_corpus FOLDER` fills FOLDER/jpeg, png, webp, pnm and bmp.
 * They are part of the tree; run this again only to add seeds. */
#include <stdlib.h>
#include <string.h>

#include "unit/image_files.h"

static const char *folder;

static void put(const char *format, const char *name, bytes b)
{
    char path[1024];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", folder, format);
    if (fet__make_folder(path) != FET_OK)
        exit(1);
    snprintf(path, sizeof path, "%s/%s/%s", folder, format, name);
    f = fopen(path, "wb");
    if (!f || fwrite(b.data, 1, b.size, f) != b.size || fclose(f) != 0)
        exit(1);
    bytes_fini(&b);
}

static void jpeg_seeds(const fet__image *im)
{
    bytes exif = exif_make(6, true), cut = {exif.data, exif.size - 9, 0};

    put("jpeg", "plain", jpeg_make(im, &(jpeg_form){.quality = 60}));
    put("jpeg", "sampled", jpeg_make(im, &(jpeg_form){.across = 2, .down = 2}));
    put("jpeg", "progressive", jpeg_make(im, &(jpeg_form){.progressive = true, .across = 2}));
    put("jpeg", "arithmetic", jpeg_make(im, &(jpeg_form){.arithmetic = true}));
    put("jpeg", "restarts", jpeg_make(im, &(jpeg_form){.restart_rows = 1, .separate_scans = true}));
    put("jpeg", "gray", jpeg_make(im, &(jpeg_form){.color = JPEG_GRAY}));
    put("jpeg", "rgb", jpeg_make(im, &(jpeg_form){.color = JPEG_RGB}));
    put("jpeg", "cmyk", jpeg_make(im, &(jpeg_form){.color = JPEG_CMYK, .quality = 30}));
    put("jpeg", "exif", jpeg_make(im, &(jpeg_form){.exif = &exif, .quality = 30}));
    put("jpeg", "exif_cut", jpeg_make(im, &(jpeg_form){.exif = &cut, .quality = 30}));
    bytes_fini(&exif);
}

/* All forms over the same few bytes: what they show does not matter. */
static void png_seeds(const fet__image *im)
{
    static const struct {
        const char *name;
        int depth, color_type;
        size_t row_bytes;
    } forms[] = {{"gray1", 1, 0, 1},    {"gray2", 2, 0, 2},       {"gray4", 4, 0, 3},   {"gray8", 8, 0, 6},
                 {"gray16", 16, 0, 12}, {"rgb8", 8, 2, 18},       {"rgb16", 16, 2, 36}, {"palette2", 2, 3, 2},
                 {"palette8", 8, 3, 6}, {"gray_alpha", 8, 4, 12}, {"rgba8", 8, 6, 24},  {"rgba16", 16, 6, 48}};
    bytes palette = {0}, extra = {0}, exif = exif_make(5, false), zeros = {0}, b;

    bytes_add(&palette, "\1\2\3\4\5\6\7\10\11", 9);
    png_chunk(&extra, "gAMA", "\0\0\261\217", 4);
    png_chunk(&extra, "tRNS", "\0\1\0\2\0\3", 6);
    png_chunk(&extra, "eXIf", exif.data, exif.size);
    png_chunk(&extra, "tEXt", "key\0text", 8);
    for (size_t i = 0; i < FET_COUNT(forms); i++)
        put("png", forms[i].name,
            png_make(&(png_form){3, 6, forms[i].depth, forms[i].color_type, im->pixels, forms[i].row_bytes,
                                 forms[i].color_type == 3 ? &palette : NULL, forms[i].depth == 8 ? &extra : NULL,
                                 NULL}));
    b = png_header(16, 16, 8, 0);
    bytes_add_zlib_zeros(&zeros, 16 * 17);
    png_chunk(&b, "IDAT", zeros.data, zeros.size / 2);
    png_chunk(&b, "IDAT", zeros.data + zeros.size / 2, zeros.size - zeros.size / 2);
    png_chunk(&b, "IEND", NULL, 0);
    put("png", "deflated", b);
    bytes_fini(&palette);
    bytes_fini(&extra);
    bytes_fini(&exif);
    bytes_fini(&zeros);
}

static void other_seeds(const fet__image *im)
{
    bytes exif = exif_make(8, false), p5 = {0};
    static const uint32_t bits[] = {1, 4, 8, 16, 24, 32};

    put("webp", "lossless", webp_make(im, true, NULL));
    put("webp", "lossy", webp_make(im, false, NULL));
    put("webp", "exif", webp_make(im, false, &exif));
    put("pnm", "p6", ppm_make(im, 255));
    put("pnm", "p6_deep", ppm_make(im, 1000));
    bytes_add(&p5, "P5#c\n2 1 7\n\1\2", 13);
    put("pnm", "p5", p5);
    for (size_t i = 0; i < FET_COUNT(bits); i++) {
        char name[16];

        snprintf(name, sizeof name, "bits%u", bits[i]);
        put("bmp", name,
            bmp_make(3, 6,
                     &(bmp_form){.header = 40,
                                 .bits = bits[i],
                                 .palette_count = bits[i] <= 8 ? 2 : 0,
                                 .palette = im->pixels,
                                 .rows = im->pixels,
                                 .rows_bytes = 72}));
    }
    put("bmp", "fields",
        bmp_make(2, 3,
                 &(bmp_form){.header = 108,
                             .bits = 16,
                             .compression = 3,
                             .top_down = true,
                             .mask = {0xF800, 0x7E0, 0x1F},
                             .rows = im->pixels,
                             .rows_bytes = 16}));
    put("bmp", "core", bmp_make(2, 3, &(bmp_form){.header = 12, .bits = 24, .rows = im->pixels, .rows_bytes = 24}));
    bytes_fini(&exif);
}

int main(int argc, char **argv)
{
    fet__image im = picture_make(9, 14);

    if (argc != 2)
        return 2;
    folder = argv[1];
    jpeg_seeds(&im);
    png_seeds(&im);
    other_seeds(&im);
    fet__image_fini(&im);
    return 0;
}
