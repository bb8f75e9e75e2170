/* BMP, strictly: uncompressed 1, 4, 8, 16, 24 and 32 bits per pixel with the headers of 12, 40, 52, 56, 108 and
 * 124 bytes, bit fields, either row order. Run-length and embedded forms are refused by name. Alpha is dropped.
 *
 *     file header of 14 bytes (pixels' offset at 10) | header | bit masks | palette | rows, padded to 4 bytes each */
#include "image/image_int.h"

#include <string.h>

enum { FILE_HEADER = 14, CORE_HEADER = 12, INFO_HEADER = 40, PLAIN = 0, BITFIELDS = 3, ALPHA_BITFIELDS = 6 };

typedef struct bmp {
    const fet__encoded *e;
    int64_t height, width;
    bool top_down;
    uint32_t header, bits, compression;
    uint32_t mask[3]; /* red, green, blue */
    const uint8_t *palette;
    uint32_t palette_count, palette_step;
    size_t row_bytes, pixels_at;
} bmp;

static fet_status malformed(const bmp *b, const char *reason)
{
    return FET_FAIL(FET_E_FORMAT, "%s: malformed BMP: %s", b->e->name, reason);
}

static fet_status truncated(const bmp *b)
{
    return FET_FAIL(FET_E_FORMAT, "%s: truncated BMP (%zu bytes)", b->e->name, b->e->size);
}

static bool known_header(uint32_t bytes)
{
    return bytes == CORE_HEADER || bytes == INFO_HEADER || bytes == 52 || bytes == 56 || bytes == 108 || bytes == 124;
}

static fet_status read_size(bmp *b)
{
    const uint8_t *p = b->e->data + FILE_HEADER;
    bool core = b->header == CORE_HEADER;
    int32_t height = core ? (int32_t)fet__le16(p + 6) : (int32_t)fet__le32(p + 8);

    b->width = core ? (int32_t)fet__le16(p + 4) : (int32_t)fet__le32(p + 4);
    b->top_down = height < 0;
    b->height = height < 0 ? -(int64_t)height : height;
    b->bits = core ? fet__le16(p + 10) : fet__le16(p + 14);
    b->compression = core ? PLAIN : fet__le32(p + 16);
    return fet__picture_check(b->e, "BMP", b->height, b->width);
}

static fet_status check_form(const bmp *b)
{
    bool fields = b->compression == BITFIELDS || b->compression == ALPHA_BITFIELDS;

    if (b->compression == 1 || b->compression == 2)
        return FET_FAIL(FET_E_FORMAT, "%s: unsupported BMP: run-length coded", b->e->name);
    if (b->compression != PLAIN && !fields)
        return FET_FAIL(FET_E_FORMAT, "%s: unsupported BMP: compression %u", b->e->name, b->compression);
    if (b->bits != 1 && b->bits != 4 && b->bits != 8 && b->bits != 16 && b->bits != 24 && b->bits != 32)
        return FET_FAIL(FET_E_FORMAT, "%s: malformed or unsupported BMP: %u bits per pixel", b->e->name, b->bits);
    if (fields && b->bits != 16 && b->bits != 32)
        return malformed(b, "bit fields with other than 16 or 32 bits per pixel");
    return FET_OK;
}

/* Masks lie at the same place in the larger headers and behind the small one. */
static fet_status read_masks(bmp *b, size_t *end)
{
    static const uint32_t plain16[3] = {0x7C00, 0x03E0, 0x001F}, plain32[3] = {0xFF0000, 0x00FF00, 0x0000FF};
    size_t masks = FILE_HEADER + INFO_HEADER;

    memcpy(b->mask, b->bits == 16 ? plain16 : plain32, sizeof b->mask);
    if (b->compression == PLAIN)
        return FET_OK;
    if (b->header == INFO_HEADER)
        *end += b->compression == BITFIELDS ? 12 : 16;
    if (*end > b->e->size)
        return truncated(b);
    for (int i = 0; i < 3; i++) {
        uint32_t mask = fet__le32(b->e->data + masks + 4 * (size_t)i), run;

        b->mask[i] = mask;
        run = mask ? mask >> __builtin_ctz(mask) : 0;
        if (!mask || (run & (run + 1)) != 0 || (b->bits == 16 && mask > 0xFFFF))
            return malformed(b, "a colour mask is not one run of bits");
    }
    return FET_OK;
}

static fet_status read_palette(bmp *b, size_t end)
{
    uint32_t full, used;

    if (b->bits > 8)
        return FET_OK;
    full = 1u << b->bits;
    used = b->header == CORE_HEADER ? 0 : fet__le32(b->e->data + FILE_HEADER + 32);
    if (used > full)
        return malformed(b, "its palette is longer than its pixels can tell");
    b->palette_count = used ? used : full;
    b->palette_step = b->header == CORE_HEADER ? 3 : 4;
    b->palette = b->e->data + end;
    return (size_t)b->palette_count * b->palette_step > b->e->size - end ? truncated(b) : FET_OK;
}

static fet_status read_header(bmp *b)
{
    fet_status st;
    size_t end;

    if (b->e->size < FILE_HEADER + 4)
        return truncated(b);
    b->header = fet__le32(b->e->data + FILE_HEADER);
    if (!known_header(b->header))
        return FET_FAIL(FET_E_FORMAT, "%s: malformed or unsupported BMP: a header of %u bytes", b->e->name, b->header);
    end = (size_t)FILE_HEADER + b->header;
    if (end > b->e->size)
        return truncated(b);
    FET_TRY(read_size(b));
    FET_TRY(check_form(b));
    FET_TRY(read_masks(b, &end));
    FET_TRY(read_palette(b, end));
    b->pixels_at = fet__le32(b->e->data + 10);
    b->row_bytes = ((size_t)b->width * b->bits + 31) / 32 * 4;
    if (b->pixels_at < end)
        st = malformed(b, "its pixels lie inside its header");
    else if (b->pixels_at > b->e->size)
        st = truncated(b);
done:
    return st;
}

/* The rows must be there before memory for them is taken; the padding of the last one is often left away. */
static fet_status check_rows(const bmp *b)
{
    size_t have = b->e->size - b->pixels_at, last = ((size_t)b->width * b->bits + 7) / 8;

    return have < last || (have - last) / b->row_bytes < (size_t)b->height - 1 ? truncated(b) : FET_OK;
}

/* ---- rows ---- */

/* Colours beyond the palette are black. */
static void row_of_indices(const bmp *b, uint8_t *rgb, const uint8_t *row)
{
    uint32_t per_byte = 8 / b->bits, low_bits = (1u << b->bits) - 1;

    for (size_t x = 0; x < (size_t)b->width; x++, rgb += 3) {
        uint32_t shift = (per_byte - 1 - (uint32_t)(x % per_byte)) * b->bits;
        uint32_t index = ((uint32_t)row[x / per_byte] >> shift) & low_bits;
        const uint8_t *color = b->palette + (size_t)index * b->palette_step;

        for (int i = 0; i < 3; i++)
            rgb[i] = index < b->palette_count ? color[2 - i] : 0;
    }
}

static uint8_t field(uint32_t pixel, uint32_t mask)
{
    int shift = __builtin_ctz(mask);
    uint64_t top = mask >> shift;

    return (uint8_t)(((pixel & mask) >> shift) * UINT64_C(255) / top);
}

static void row_of_fields(const bmp *b, uint8_t *rgb, const uint8_t *row)
{
    for (int64_t x = 0; x < b->width; x++, rgb += 3, row += b->bits / 8) {
        uint32_t pixel = b->bits == 16 ? fet__le16(row) : fet__le32(row);

        for (int i = 0; i < 3; i++)
            rgb[i] = field(pixel, b->mask[i]);
    }
}

static void row_of_bytes(const bmp *b, uint8_t *rgb, const uint8_t *row)
{
    for (int64_t x = 0; x < b->width; x++, rgb += 3, row += 3) {
        rgb[0] = row[2];
        rgb[1] = row[1];
        rgb[2] = row[0];
    }
}

fet_status fet__bmp_probe(int *height, int *width, int *orientation, const fet__encoded *e)
{
    bmp b = {.e = e};
    fet_status st = read_header(&b);

    *height = (int)b.height;
    *width = (int)b.width;
    *orientation = 1;
    return st;
}

fet_status fet__bmp_decode(fet__image *out, int *orientation, const fet__encoded *e)
{
    fet_status st;
    bmp b = {.e = e};

    *orientation = 1;
    FET_TRY(read_header(&b));
    FET_TRY(check_rows(&b));
    FET_TRY(fet__picture_create(out, e, "BMP", b.height, b.width));
    for (int y = 0; y < out->height; y++) {
        size_t stored = (size_t)(b.top_down ? y : out->height - 1 - y);
        const uint8_t *row = e->data + b.pixels_at + stored * b.row_bytes;
        uint8_t *rgb = out->pixels + (size_t)y * out->width * 3;

        if (b.bits <= 8)
            row_of_indices(&b, rgb, row);
        else if (b.bits == 24)
            row_of_bytes(&b, rgb, row);
        else
            row_of_fields(&b, rgb, row);
    }
done:
    return st;
}
