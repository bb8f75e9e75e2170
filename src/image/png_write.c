/* Writing PNG: 8-bit RGB, atomically. Used for the made data sets and for pictures that explain a model. */
#include "image/image.h"

#include <stdlib.h>

#include <spng.h>

static int encode(spng_ctx *c, const fet__image *im)
{
    struct spng_ihdr header = {.width = (uint32_t)im->width,
                               .height = (uint32_t)im->height,
                               .bit_depth = 8,
                               .color_type = SPNG_COLOR_TYPE_TRUECOLOR};
    int code = spng_set_option(c, SPNG_ENCODE_TO_BUFFER, 1);

    if (!code)
        code = spng_set_ihdr(c, &header);
    if (!code)
        code = spng_encode_image(c, im->pixels, (size_t)im->height * im->width * 3, SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE);
    return code;
}

fet_status fet__image_encode_png(fet__text *out, const fet__image *im)
{
    fet_status st = FET_OK;
    void *bytes = NULL;
    size_t count = 0;
    int code;
    spng_ctx *c = spng_ctx_new(SPNG_CTX_ENCODER);

    code = c ? encode(c, im) : SPNG_EMEM;
    if (!code)
        bytes = spng_get_png_buffer(c, &count, &code);
    if (code || !bytes)
        st = FET_FAIL(code == SPNG_EMEM ? FET_E_NOMEM : FET_E_ARG, "cannot make a PNG of %d x %d pixels: %s", im->width,
                      im->height, spng_strerror(code));
    else
        fet__text_add(out, bytes, count);
    if (out->failed)
        st = FET_E_NOMEM;
    free(bytes); /* the encoder's own allocation */
    spng_ctx_free(c);
    return st;
}

fet_status fet__image_write_png(const char *path, const fet__image *im)
{
    fet__outfile *file = NULL;
    fet__text bytes = {0};
    fet_status st = fet__image_encode_png(&bytes, im);

    if (st != FET_OK) {
        st = fet__fail_in(st, "%s", fet__show(path));
        goto done;
    }
    FET_TRY(fet__outfile_open(&file, path));
    fet__outfile_write(file, bytes.s, bytes.length);
    st = fet__outfile_commit(file);
done:
    fet__text_fini(&bytes);
    return st;
}
