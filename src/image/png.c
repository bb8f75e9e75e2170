/* PNG reading through libspng: 8-bit RGB with alpha dropped (not blended), tRNS, gAMA and iCCP ignored, and 16-bit
 * samples cut to their high byte. Writing lives in png_write.c. */
#include "image/image_int.h"

#include <string.h>

#include <spng.h>

/* Text and profile chunks are read over, not kept: more than this in one of them is not a picture we want. */
#define MAX_CHUNK_BYTES ((size_t)8 << 20)

static fet_status fail(const fet__encoded *e, int code)
{
    if (code == SPNG_EMEM)
        return FET_FAIL(FET_E_NOMEM, "%s: out of memory while decoding PNG", e->name);
    if (code == SPNG_IO_EOF)
        return FET_FAIL(FET_E_FORMAT, "%s: truncated PNG (%zu bytes)", e->name, e->size);
    if (code == SPNG_EIDAT_TOO_SHORT)
        return FET_FAIL(FET_E_FORMAT, "%s: malformed PNG: not enough data for its pixels", e->name);
    if (code == SPNG_EFILTER || code == SPNG_EIDAT_STREAM || code == SPNG_EZLIB)
        return FET_FAIL(FET_E_FORMAT, "%s: malformed PNG: damaged data stream (%s)", e->name, spng_strerror(code));
    return FET_FAIL(FET_E_FORMAT, "%s: malformed PNG: %s", e->name, spng_strerror(code));
}

/* The eXIf chunk may stand before or after the pixels, so it is looked for here by walking over the chunks: the
 * same answer for a probe and a decode. Its checksum is not needed: a wrong orientation is the worst that can come
 * of it. */
static int find_orientation(const fet__encoded *e)
{
    size_t at = 8;

    while (!e->ignore_exif && e->size >= 12 && at <= e->size - 12) {
        size_t length = fet__be32(e->data + at);

        if (length > e->size - 12 - at)
            break;
        if (memcmp(e->data + at + 4, "eXIf", 4) == 0)
            return fet__exif_orientation(e, e->data + at + 8, length);
        at += 12 + length;
    }
    return 1;
}

/* The claimed size, before libspng calculates with it. A header that is not there yet is libspng's to refuse. */
static fet_status check_size(const fet__encoded *e)
{
    if (e->size < 24 || memcmp(e->data + 8, "\0\0\0\x0dIHDR", 8) != 0)
        return FET_OK;
    return fet__picture_check(e, "PNG", fet__be32(e->data + 20), fet__be32(e->data + 16));
}

static fet_status open_png(spng_ctx **out, struct spng_ihdr *header, const fet__encoded *e)
{
    spng_ctx *c;
    int code;
    fet_status st = check_size(e);

    *out = NULL;
    if (st != FET_OK)
        return st;
    *out = c = spng_ctx_new(0);
    if (!c)
        return fail(e, SPNG_EMEM);
    code = spng_set_crc_action(c, SPNG_CRC_ERROR, SPNG_CRC_DISCARD);
    if (!code)
        code = spng_set_chunk_limits(c, MAX_CHUNK_BYTES, MAX_CHUNK_BYTES);
    if (!code)
        code = spng_set_png_buffer(c, e->data, e->size);
    if (!code)
        code = spng_get_ihdr(c, header);
    return code ? fail(e, code) : FET_OK;
}

/* Deflate shrinks at most 1032 times. A file too small for its claimed pixels is refused before memory is taken. */
static fet_status check_ratio(const struct spng_ihdr *h, const fet__encoded *e)
{
    static const uint8_t channels[7] = {1, 0, 3, 1, 2, 0, 4}; /* by colour type; libspng has refused the others */
    uint64_t bits = (uint64_t)h->width * h->height * h->bit_depth * channels[h->color_type % 7];

    return bits / 8 / 1032 > e->size ? fail(e, SPNG_EIDAT_TOO_SHORT) : FET_OK;
}

fet_status fet__png_probe(int *height, int *width, int *orientation, const fet__encoded *e)
{
    struct spng_ihdr header = {0};
    spng_ctx *c = NULL;
    fet_status st = open_png(&c, &header, e);

    spng_ctx_free(c);
    *height = (int)header.height;
    *width = (int)header.width;
    *orientation = st == FET_OK ? find_orientation(e) : 1;
    return st;
}

fet_status fet__png_decode(fet__image *out, int *orientation, const fet__encoded *e)
{
    fet_status st;
    struct spng_ihdr header = {0};
    spng_ctx *c = NULL;
    int code;

    FET_TRY(open_png(&c, &header, e));
    FET_TRY(check_ratio(&header, e));
    FET_TRY(fet__picture_create(out, e, "PNG", header.height, header.width));
    code = spng_decode_image(c, out->pixels, (size_t)out->height * out->width * 3, SPNG_FMT_RGB8, 0);
    if (!code)
        code = spng_decode_chunks(c); /* to the end mark: a file cut off behind its pixels is still cut off */
    if (code)
        st = fail(e, code);
    else
        *orientation = find_orientation(e);
done:
    spng_ctx_free(c);
    return st;
}
