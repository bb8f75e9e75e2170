/* The door for encoded pictures: which format it is (by content, never by name), the size limits that hold for all
 * formats, and the turn to upright. The formats themselves live in jpeg.c, png.c, webp.c, bmp.c and pnm.c. */
#include "image/image.h"

#include "image/image_int.h"

#include <limits.h>
#include <string.h>

#define DEFAULT_MAX_PIXELS INT64_C(200000000)
#define CHANNELS 3

uint32_t fet__le16(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

uint32_t fet__le32(const uint8_t *p)
{
    return fet__le16(p) | fet__le16(p + 2) << 16;
}

uint32_t fet__be16(const uint8_t *p)
{
    return (uint32_t)p[0] << 8 | (uint32_t)p[1];
}

uint32_t fet__be32(const uint8_t *p)
{
    return fet__be16(p) << 16 | fet__be16(p + 2);
}

static fet_status create(fet__image *out, int height, int width, void *(*take)(size_t, size_t))
{
    memset(out, 0, sizeof *out);
    if (height <= 0 || width <= 0)
        return FET_FAIL(FET_E_ARG, "an image of %d x %d pixels (height x width) cannot be made", height, width);
    out->pixels = take((size_t)height * (size_t)width, CHANNELS);
    if (!out->pixels)
        return FET_E_NOMEM;
    out->height = height;
    out->width = width;
    return FET_OK;
}

fet_status fet__image_create(fet__image *out, int height, int width)
{
    return create(out, height, width, fet__alloc);
}

fet_status fet__image_create_raw(fet__image *out, int height, int width)
{
    return create(out, height, width, fet__alloc_raw);
}

void fet__image_fini(fet__image *im)
{
    fet__free(im->pixels);
    memset(im, 0, sizeof *im);
}

fet_status fet__picture_check(const fet__encoded *e, const char *format, int64_t height, int64_t width)
{
    if (height <= 0 || width <= 0)
        return FET_FAIL(FET_E_FORMAT, "%s: malformed %s: its size is %lld x %lld pixels (width x height)", e->name,
                        format, (long long)width, (long long)height);
    if (height > INT_MAX || width > INT_MAX || width > e->max_pixels / height)
        return FET_FAIL(FET_E_FORMAT, "%s: too large: %lld x %lld pixels (width x height) exceed the limit of %lld",
                        e->name, (long long)width, (long long)height, (long long)e->max_pixels);
    return FET_OK;
}

fet_status fet__picture_create(fet__image *out, const fet__encoded *e, const char *format, int64_t height,
                               int64_t width)
{
    fet_status st = fet__picture_check(e, format, height, width);

    return st == FET_OK ? fet__image_create_raw(out, (int)height, (int)width) : st;
}

/* ---- which format ---- */

static bool starts_with(const fet__encoded *e, size_t at, const char *text, size_t length)
{
    return e->size >= at + length && memcmp(e->data + at, text, length) == 0;
}

/* Two bytes are enough, so that a picture cut off that early is called truncated rather than foreign. */
static bool is_jpeg(const fet__encoded *e)
{
    return starts_with(e, 0, "\xFF\xD8", 2) && (e->size == 2 || e->data[2] == 0xFF);
}

static bool is_png(const fet__encoded *e)
{
    return starts_with(e, 0, "\x89PNG", 4);
}

static bool is_webp(const fet__encoded *e)
{
    return starts_with(e, 0, "RIFF", 4) && starts_with(e, 8, "WEBP", 4);
}

/* "BM" alone may begin a text; the reserved words that follow the file size are zero in practice. */
static bool is_bmp(const fet__encoded *e)
{
    return starts_with(e, 0, "BM", 2) && (e->size < 10 || fet__le32(e->data + 6) == 0);
}

static bool is_pnm(const fet__encoded *e)
{
    return e->size >= 3 && e->data[0] == 'P' && e->data[1] >= '1' && e->data[1] <= '7' && e->data[2] != 0 &&
           strchr(" \t\n\v\f\r#", e->data[2]);
}

typedef struct codec {
    bool (*match)(const fet__encoded *e);
    fet_status (*probe)(int *height, int *width, int *orientation, const fet__encoded *e);
    fet_status (*decode)(fet__image *out, int *orientation, const fet__encoded *e);
} codec;

static const codec codecs[] = {
    {is_jpeg, fet__jpeg_probe, fet__jpeg_decode}, {is_png, fet__png_probe, fet__png_decode},
    {is_webp, fet__webp_probe, fet__webp_decode}, {is_bmp, fet__bmp_probe, fet__bmp_decode},
    {is_pnm, fet__pnm_probe, fet__pnm_decode},
};

static fet_status refuse_unknown(const fet__encoded *e)
{
    char start[16] = "";
    size_t shown = e->size < 4 ? e->size : 4;

    if (e->size == 0)
        return FET_FAIL(FET_E_FORMAT, "%s: empty file", e->name);
    for (size_t i = 0; i < shown; i++)
        snprintf(start + strlen(start), sizeof start - strlen(start), "%s%02X", i ? " " : "", e->data[i]);
    return FET_FAIL(FET_E_FORMAT, "%s: not a JPEG, PNG, WebP, BMP or PPM file (starts with %s)", e->name, start);
}

static fet_status find_codec(const codec **out, const fet__encoded *e)
{
    for (size_t i = 0; i < FET_COUNT(codecs); i++) {
        if (codecs[i].match(e)) {
            *out = &codecs[i];
            return FET_OK;
        }
    }
    return refuse_unknown(e);
}

static void fill_encoded(fet__encoded *e, const void *data, size_t size, const fet__decode_options *o)
{
    memset(e, 0, sizeof *e);
    e->data = data;
    e->size = size;
    e->max_pixels = o && o->max_pixels > 0 ? o->max_pixels : DEFAULT_MAX_PIXELS;
    e->ignore_exif = o && o->ignore_exif;
    e->allow_truncated = o && o->allow_truncated;
    fet__escape(e->name, sizeof e->name, o && o->name ? o->name : "image");
}

/* ---- the doors ---- */

fet_status fet__image_decode(fet__image *out, const void *data, size_t size, const fet__decode_options *o)
{
    fet_status st;
    fet__encoded e;
    const codec *c = NULL;
    int orientation = 1;

    memset(out, 0, sizeof *out);
    fill_encoded(&e, data, size, o);
    FET_TRY(find_codec(&c, &e));
    FET_TRY(c->decode(out, &orientation, &e));
    FET_TRY(fet__image_upright(out, orientation));
done:
    if (st != FET_OK)
        fet__image_fini(out);
    return st;
}

fet_status fet__image_read(fet__image *out, const char *path, const fet__decode_options *o)
{
    fet_status st;
    fet__map map;
    fet__decode_options named = {0};

    memset(out, 0, sizeof *out);
    if (o)
        named = *o;
    if (!named.name)
        named.name = path;
    st = fet__map_open(&map, path);
    if (st != FET_OK)
        return st;
    st = fet__image_decode(out, map.data, map.size, &named);
    fet__map_close(&map);
    return st;
}

fet_status fet__image_probe(int *height, int *width, const void *data, size_t size, const fet__decode_options *o)
{
    fet_status st;
    fet__encoded e;
    const codec *c = NULL;
    int h = 0, w = 0, orientation = 1;

    *height = *width = 0;
    fill_encoded(&e, data, size, o);
    e.quiet = true;
    FET_TRY(find_codec(&c, &e));
    FET_TRY(c->probe(&h, &w, &orientation, &e));
    *height = orientation >= 5 ? w : h;
    *width = orientation >= 5 ? h : w;
done:
    return st;
}
