/* Encoded pictures for tests; see image_files.h. */
#include "unit/image_files.h"

#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <webp/encode.h>

static void require(bool holds)
{
    if (!holds)
        abort();
}

void bytes_add(bytes *b, const void *data, size_t size)
{
    if (size == 0)
        return;
    if (b->size + size > b->capacity) {
        b->capacity = 2 * (b->size + size);
        b->data = realloc(b->data, b->capacity);
        require(b->data != NULL);
    }
    memcpy(b->data + b->size, data, size);
    b->size += size;
}

void bytes_add_le(bytes *b, uint64_t value, int count)
{
    for (int i = 0; i < count; i++)
        bytes_add(b, &(uint8_t){(uint8_t)(value >> 8 * i)}, 1);
}

void bytes_add_be(bytes *b, uint64_t value, int count)
{
    for (int i = count - 1; i >= 0; i--)
        bytes_add(b, &(uint8_t){(uint8_t)(value >> 8 * i)}, 1);
}

void bytes_fini(bytes *b)
{
    free(b->data);
    memset(b, 0, sizeof *b);
}

fet__image picture_make(int height, int width)
{
    fet__image im;

    require(fet__image_create(&im, height, width) == FET_OK);
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            uint8_t *p = im.pixels + ((size_t)y * width + x) * 3;

            p[0] = (uint8_t)(40 + 150 * x / width);
            p[1] = (uint8_t)(220 - 180 * y / height);
            p[2] = (uint8_t)(2 * x > width ? 200 : 30 + (x + 2 * y) % 40);
        }
    }
    return im;
}

bytes exif_make(int orientation, bool big_endian)
{
    bytes b = {0};
    void (*add)(bytes *, uint64_t, int) = big_endian ? bytes_add_be : bytes_add_le;

    bytes_add(&b, big_endian ? "MM" : "II", 2);
    add(&b, 42, 2);
    add(&b, 8, 4);
    add(&b, 2, 2); /* entries: width, orientation */
    add(&b, 0x0100, 2);
    add(&b, 4, 2);
    add(&b, 1, 4);
    add(&b, 7, 4);
    add(&b, 0x0112, 2);
    add(&b, 3, 2);
    add(&b, 1, 4);
    add(&b, (uint64_t)orientation, 2);
    add(&b, 0, 2);
    add(&b, 0, 4);
    return b;
}

/* ---- JPEG ---- */

static void set_form(struct jpeg_compress_struct *c, const jpeg_form *f)
{
    static const J_COLOR_SPACE stored[] = {
        [JPEG_YCC] = JCS_YCbCr, [JPEG_GRAY] = JCS_GRAYSCALE, [JPEG_RGB] = JCS_RGB, [JPEG_CMYK] = JCS_CMYK};

    jpeg_set_defaults(c);
    jpeg_set_colorspace(c, stored[f->color]);
    jpeg_set_quality(c, f->quality ? f->quality : 95, TRUE);
    c->comp_info[0].h_samp_factor = f->across ? f->across : 1;
    c->comp_info[0].v_samp_factor = f->down ? f->down : 1;
    c->arith_code = f->arithmetic;
    c->restart_in_rows = f->restart_rows;
    if (f->progressive)
        jpeg_simple_progression(c);
}

static void add_exif(struct jpeg_compress_struct *c, const bytes *exif)
{
    bytes block = {0};

    bytes_add(&block, "Exif\0\0", 6);
    bytes_add(&block, exif->data, exif->size);
    jpeg_write_marker(c, JPEG_APP0 + 1, block.data, (unsigned)block.size);
    bytes_fini(&block);
}

/* CMYK test pictures are the RGB ones with a fixed ramp as black. */
static void write_rows(struct jpeg_compress_struct *c, const fet__image *im)
{
    uint8_t *row = malloc((size_t)im->width * 4);

    require(row != NULL);
    for (int y = 0; y < im->height; y++) {
        const uint8_t *from = im->pixels + (size_t)y * im->width * 3;
        JSAMPROW to = row;

        for (int x = 0; x < im->width; x++) {
            if (c->input_components == 1) {
                row[x] = from[3 * x];
            } else {
                memcpy(row + (size_t)c->input_components * x, from + 3 * x, 3);
                if (c->input_components == 4)
                    row[4 * x + 3] = (uint8_t)(60 + x % 64);
            }
        }
        require(jpeg_write_scanlines(c, &to, 1) == 1);
    }
    free(row);
}

bytes jpeg_make(const fet__image *im, const jpeg_form *f)
{
    static const jpeg_scan_info scans[3] = {{1, {0}, 0, 63, 0, 0}, {1, {1}, 0, 63, 0, 0}, {1, {2}, 0, 63, 0, 0}};
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr errors;
    unsigned char *data = NULL;
    unsigned long size = 0;
    bytes b = {0};

    c.err = jpeg_std_error(&errors);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &data, &size);
    c.image_width = (JDIMENSION)im->width;
    c.image_height = (JDIMENSION)im->height;
    c.input_components = f->color == JPEG_GRAY ? 1 : f->color == JPEG_CMYK ? 4 : 3;
    c.in_color_space = f->color == JPEG_GRAY ? JCS_GRAYSCALE : f->color == JPEG_CMYK ? JCS_CMYK : JCS_RGB;
    set_form(&c, f);
    if (f->separate_scans) {
        c.scan_info = scans;
        c.num_scans = 3;
    }
    jpeg_start_compress(&c, TRUE);
    if (f->exif)
        add_exif(&c, f->exif);
    write_rows(&c, im);
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    bytes_add(&b, data, size);
    free(data);
    return b;
}

/* ---- PNG: by hand, with stored (uncompressed) deflate blocks ---- */

static uint32_t crc(const uint8_t *data, size_t size)
{
    uint32_t c = 0xFFFFFFFFu;

    for (size_t i = 0; i < size; i++) {
        c ^= data[i];
        for (int k = 0; k < 8; k++)
            c = c & 1 ? 0xEDB88320u ^ c >> 1 : c >> 1;
    }
    return ~c;
}

void png_chunk(bytes *b, const char type[5], const void *data, size_t size)
{
    size_t at = b->size + 4;

    bytes_add_be(b, size, 4);
    bytes_add(b, type, 4);
    bytes_add(b, data, size);
    bytes_add_be(b, crc(b->data + at, size + 4), 4);
}

bytes png_header(uint32_t height, uint32_t width, int depth, int color_type)
{
    bytes b = {0}, header = {0};

    bytes_add(&b, "\x89PNG\r\n\x1a\n", 8);
    bytes_add_be(&header, width, 4);
    bytes_add_be(&header, height, 4);
    bytes_add_be(&header, (uint64_t)depth, 1);
    bytes_add_be(&header, (uint64_t)color_type, 1);
    bytes_add_be(&header, 0, 3);
    png_chunk(&b, "IHDR", header.data, header.size);
    bytes_fini(&header);
    return b;
}

static void add_stored(bytes *z, const bytes *plain)
{
    uint32_t low = 1, high = 0;

    bytes_add(z, "\x78\x01", 2);
    for (size_t at = 0; at < plain->size; at += 65535) {
        size_t part = plain->size - at < 65535 ? plain->size - at : 65535;

        bytes_add_le(z, at + part == plain->size, 1);
        bytes_add_le(z, part, 2);
        bytes_add_le(z, ~part & 0xFFFF, 2);
        bytes_add(z, plain->data + at, part);
    }
    for (size_t i = 0; i < plain->size; i++) {
        low = (low + plain->data[i]) % 65521;
        high = (high + low) % 65521;
    }
    bytes_add_be(z, (uint64_t)high << 16 | low, 4);
}

/* Bits of a deflate stream, least significant first. */
typedef struct bit_writer {
    bytes *to;
    uint32_t held;
    int count;
} bit_writer;

static void put_bits(bit_writer *w, uint32_t value, int count)
{
    w->held |= value << w->count;
    w->count += count;
    for (; w->count >= 8; w->count -= 8, w->held >>= 8)
        bytes_add_le(w->to, w->held & 0xFF, 1);
}

/* One block with the fixed codes: the literal 0, then copies of 258 bytes from distance 1 (codes 285 and 0). Codes
 * are written here with their bits already reversed. */
void bytes_add_zlib_zeros(bytes *b, size_t count)
{
    bit_writer w = {.to = b};
    size_t copies = (count - 1) / 258, rest = (count - 1) % 258;

    bytes_add(b, "\x78\x9c", 2);
    put_bits(&w, 3, 3);
    for (size_t i = 0; i < 1 + rest; i++)
        put_bits(&w, 0x0C, 8);
    for (size_t i = 0; i < copies; i++)
        put_bits(&w, 0xA3, 13);
    put_bits(&w, 0, 7); /* end of block */
    put_bits(&w, 0, 7); /* to a whole byte */
    bytes_add_be(b, (uint64_t)(count % 65521) << 16 | 1, 4);
}

bytes png_make(const png_form *f)
{
    bytes b = png_header((uint32_t)f->height, (uint32_t)f->width, f->depth, f->color_type), plain = {0}, z = {0};

    for (int y = 0; y < f->height; y++) {
        bytes_add(&plain, "", 1); /* filter: none */
        bytes_add(&plain, f->rows + (size_t)y * f->row_bytes, f->row_bytes);
    }
    add_stored(&z, &plain);
    if (f->palette)
        png_chunk(&b, "PLTE", f->palette->data, f->palette->size);
    if (f->extra)
        bytes_add(&b, f->extra->data, f->extra->size);
    png_chunk(&b, "IDAT", z.data, z.size);
    if (f->after)
        bytes_add(&b, f->after->data, f->after->size);
    png_chunk(&b, "IEND", NULL, 0);
    bytes_fini(&plain);
    bytes_fini(&z);
    return b;
}

/* ---- the others ---- */

/* Wrap a simple WebP file into the extended container with an EXIF chunk. */
static bytes webp_with_exif(const uint8_t *simple, size_t size, const fet__image *im, const bytes *exif)
{
    bytes b = {0}, body = {0};

    bytes_add(&body, "WEBPVP8X", 8);
    bytes_add_le(&body, 10, 4);
    bytes_add_le(&body, 0x08, 4);
    bytes_add_le(&body, (uint64_t)im->width - 1, 3);
    bytes_add_le(&body, (uint64_t)im->height - 1, 3);
    bytes_add(&body, simple + 12, size - 12);
    bytes_add(&body, "EXIF", 4);
    bytes_add_le(&body, exif->size, 4);
    bytes_add(&body, exif->data, exif->size);
    bytes_add_le(&body, 0, (int)(exif->size & 1));
    bytes_add(&b, "RIFF", 4);
    bytes_add_le(&b, body.size, 4);
    bytes_add(&b, body.data, body.size);
    bytes_fini(&body);
    return b;
}

bytes webp_make(const fet__image *im, bool lossless, const bytes *exif)
{
    uint8_t *data = NULL;
    size_t size = lossless ? WebPEncodeLosslessRGB(im->pixels, im->width, im->height, im->width * 3, &data)
                           : WebPEncodeRGB(im->pixels, im->width, im->height, im->width * 3, 90.0f, &data);
    bytes b = {0};

    require(size > 12);
    if (exif)
        b = webp_with_exif(data, size, im, exif);
    else
        bytes_add(&b, data, size);
    WebPFree(data);
    return b;
}

bytes ppm_make(const fet__image *im, int maxval)
{
    bytes b = {0};
    char header[64];
    int length = snprintf(header, sizeof header, "P6\n# made\n%d %d\n%d\n", im->width, im->height, maxval);

    bytes_add(&b, header, (size_t)length);
    for (size_t i = 0; i < (size_t)im->height * im->width * 3; i++)
        bytes_add_be(&b, (uint64_t)im->pixels[i] * (uint64_t)maxval / 255, maxval > 255 ? 2 : 1);
    return b;
}

bytes bmp_make(int height, int width, const bmp_form *f)
{
    bytes b = {0};
    bool core = f->header == 12;
    size_t palette = (size_t)f->palette_count * (core ? 3 : 4), masks = f->header == 40 && f->compression == 3 ? 12 : 0;
    size_t offset = 14 + f->header + masks + palette;

    bytes_add(&b, "BM", 2);
    bytes_add_le(&b, offset + f->rows_bytes, 4);
    bytes_add_le(&b, 0, 4);
    bytes_add_le(&b, offset, 4);
    bytes_add_le(&b, f->header, 4);
    bytes_add_le(&b, (uint64_t)width, core ? 2 : 4);
    bytes_add_le(&b, (uint64_t)(int64_t)(f->top_down ? -height : height), core ? 2 : 4);
    bytes_add_le(&b, 1, 2);
    bytes_add_le(&b, f->bits, 2);
    if (!core) {
        bytes_add_le(&b, f->compression, 4);
        bytes_add_le(&b, f->rows_bytes, 4);
        bytes_add_le(&b, 2835, 4);
        bytes_add_le(&b, 2835, 4);
        bytes_add_le(&b, f->palette_count, 4);
        bytes_add_le(&b, 0, 4);
    }
    for (int i = 0; i < 3 && (masks || f->header > 40); i++)
        bytes_add_le(&b, f->mask[i], 4);
    while (b.size < 14 + f->header)
        bytes_add_le(&b, 0, 1);
    bytes_add(&b, f->palette, palette);
    bytes_add(&b, f->rows, f->rows_bytes);
    return b;
}
