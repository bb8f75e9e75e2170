/* See image_target.h. An accepted picture has the size that a probe tells, within the limit, and all its bytes are
 * there; a refused one leaves nothing behind but one line that names the file. */
#include "image_target.h"

#include <stdlib.h>
#include <string.h>

#include "image/image.h"

#define MAX_PIXELS 65536

/* A broken promise is a crash, which is what the fuzzer looks for. */
static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_accepted(const fet__image *im, const uint8_t *data, size_t size, const fet__decode_options *o)
{
    int height, width;
    volatile uint8_t sum = 0;

    require(im->height > 0 && im->width > 0 && (int64_t)im->height * im->width <= MAX_PIXELS);
    require(fet__image_probe(&height, &width, data, size, o) == FET_OK);
    require(height == im->height && width == im->width);
    for (size_t i = 0; i < (size_t)im->height * im->width * 3; i++)
        sum = (uint8_t)(sum + im->pixels[i]);
}

void image_target(const uint8_t *data, size_t size, const char *magic, size_t magic_bytes)
{
    fet__decode_options o = {.max_pixels = MAX_PIXELS, .name = "input"};
    uint64_t held = fet__alloc_bytes();
    fet__image im;

    if (size < magic_bytes || memcmp(data, magic, magic_bytes) != 0)
        return;
    o.allow_truncated = size % 2; /* both ways, without spending input on it */
    if (fet__image_decode(&im, data, size, &o) == FET_OK)
        check_accepted(&im, data, size, &o);
    else
        require(!im.pixels && strstr(fet_error_message(), "input") && !strchr(fet_error_message(), '\n'));
    fet__image_fini(&im);
    require(fet__alloc_bytes() == held);
}
