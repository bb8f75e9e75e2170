/* WebP through libwebp's default decoder (smooth chroma upsampling); alpha is dropped, animations are refused. */
#include "image/image_int.h"

#include <string.h>

#include <webp/decode.h>

static fet_status fail(const fet__encoded *e, VP8StatusCode code)
{
    switch (code) {
    case VP8_STATUS_OUT_OF_MEMORY: return FET_FAIL(FET_E_NOMEM, "%s: out of memory while decoding WebP", e->name);
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED: return FET_FAIL(FET_E_FORMAT, "%s: truncated WebP (%zu bytes)", e->name, e->size);
    case VP8_STATUS_UNSUPPORTED_FEATURE: return FET_FAIL(FET_E_FORMAT, "%s: unsupported WebP feature", e->name);
    default: return FET_FAIL(FET_E_FORMAT, "%s: malformed WebP: damaged data stream", e->name);
    }
}

/* Walk over the RIFF chunks for the EXIF one. */
static int find_orientation(const fet__encoded *e)
{
    size_t at = 12;

    while (!e->ignore_exif && e->size >= 8 && at <= e->size - 8) {
        size_t length = fet__le32(e->data + at + 4);

        if (length > e->size - 8 - at)
            break;
        if (memcmp(e->data + at, "EXIF", 4) == 0)
            return fet__exif_orientation(e, e->data + at + 8, length);
        at += 8 + length + (length & 1);
    }
    return 1;
}

fet_status fet__webp_probe(int *height, int *width, int *orientation, const fet__encoded *e)
{
    WebPBitstreamFeatures f;
    VP8StatusCode code = WebPGetFeatures(e->data, e->size, &f);
    fet_status st;

    if (code != VP8_STATUS_OK)
        return fail(e, code);
    if (f.has_animation)
        return FET_FAIL(FET_E_FORMAT, "%s: unsupported WebP: an animation", e->name);
    st = fet__picture_check(e, "WebP", f.height, f.width);
    if (st != FET_OK)
        return st;
    *height = f.height;
    *width = f.width;
    *orientation = find_orientation(e);
    return FET_OK;
}

fet_status fet__webp_decode(fet__image *out, int *orientation, const fet__encoded *e)
{
    fet_status st;
    int height = 0, width = 0;
    WebPDecoderConfig config;
    VP8StatusCode code;

    FET_TRY(fet__webp_probe(&height, &width, orientation, e));
    FET_TRY(fet__picture_create(out, e, "WebP", height, width));
    if (!WebPInitDecoderConfig(&config)) {
        st = FET_FAIL(FET_E_BUG, "libwebp and its headers are of different versions");
        goto done;
    }
    config.output.colorspace = MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = out->pixels;
    config.output.u.RGBA.stride = width * 3;
    config.output.u.RGBA.size = (size_t)height * width * 3;
    code = WebPDecode(e->data, e->size, &config);
    if (code != VP8_STATUS_OK)
        st = fail(e, code);
    WebPFreeDecBuffer(&config.output);
done:
    return st;
}
