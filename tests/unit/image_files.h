/* Small encoded pictures for tests and fuzz seeds, made by the encoders of the libraries or by hand: never copies of
 * somebody's files. Failing here is a broken test, so everything aborts instead of returning errors. */
#ifndef FET_TEST_IMAGE_FILES_H
#define FET_TEST_IMAGE_FILES_H

#include "image/image.h"

/* A growing file in memory. */
typedef struct bytes {
    uint8_t *data;
    size_t size, capacity;
} bytes;
void bytes_add(bytes *b, const void *data, size_t size);
void bytes_add_le(bytes *b, uint64_t value, int count);
void bytes_add_be(bytes *b, uint64_t value, int count);
void bytes_fini(bytes *b);

/* A smooth picture with an edge in it, the same for the same size. */
fet__image picture_make(int height, int width);
/* An EXIF block ("II" or "MM" TIFF) that holds only the orientation. */
bytes exif_make(int orientation, bool big_endian);

typedef enum jpeg_color { JPEG_YCC, JPEG_GRAY, JPEG_RGB, JPEG_CMYK } jpeg_color;
typedef struct jpeg_form {
    int quality;      /* 0: 95 */
    int across, down; /* chroma sampling factors of the luma; 0: 1 */
    jpeg_color color;
    bool progressive, arithmetic, separate_scans;
    int restart_rows;
    const bytes *exif; /* TIFF block, or NULL */
} jpeg_form;
bytes jpeg_make(const fet__image *im, const jpeg_form *f);

/* A PNG out of raw parts. `rows` holds the unfiltered samples of each row, packed as the file wants them. */
typedef struct png_form {
    int height, width, depth, color_type;
    const uint8_t *rows;
    size_t row_bytes;
    const bytes *palette; /* triples, or NULL */
    const bytes *extra;   /* whole chunks before the pixels, or NULL */
    const bytes *after;   /* whole chunks behind the pixels, or NULL */
} png_form;
bytes png_make(const png_form *f);
void png_chunk(bytes *b, const char type[5], const void *data, size_t size);
/* A zlib stream of `count` zeros, about count / 159 bytes long. */
void bytes_add_zlib_zeros(bytes *b, size_t count);
/* The signature and a header chunk alone. */
bytes png_header(uint32_t height, uint32_t width, int depth, int color_type);

bytes webp_make(const fet__image *im, bool lossless, const bytes *exif);
bytes ppm_make(const fet__image *im, int maxval);

typedef struct bmp_form {
    uint32_t header, bits, compression, palette_count;
    bool top_down;
    uint32_t mask[4];
    const uint8_t *palette; /* blue green red (0) */
    const uint8_t *rows;    /* as stored, padded */
    size_t rows_bytes;
} bmp_form;
bytes bmp_make(int height, int width, const bmp_form *f);

#endif
