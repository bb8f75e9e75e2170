/* Fuzz target: the text of an augmentation. A refusal names the text and the place; a plan is the same for any known size that
 * takes it, holds what its fields promise, and does its work on a small picture or says why not. */
#include <stdlib.h>
#include <string.h>

#include "data/data.h"

enum { SIDE = 24, MOST = 400, STEPS = 3 };

static void require(bool holds)
{
    if (!holds)
        abort();
}

static bool is_share(double p)
{
    return p >= 0 && p <= 1;
}

static void check(const fet__augment_plan *a)
{
    require(a->count >= 0 && a->count <= FET__AUGMENT_STEPS);
    for (int i = 0; i < a->count; i++)
        require(is_share(a->steps[i].probability));
    require(is_share(a->erase.probability) && is_share(a->mix.probability) && is_share(a->mix.switching));
    require(a->frame != FET__FRAME_RESIZED_CROP || (a->scale[0] > 0 && a->scale[0] <= a->scale[1]));
    require(a->frame != FET__FRAME_RESIZED_CROP || (a->ratio[0] > 0 && a->ratio[0] <= a->ratio[1]));
}

static void apply(const fet__augment_plan *a, uint64_t seed)
{
    static const fet__preprocess p = {
        .height = SIDE, .width = SIDE, .std = {1, 1, 1}, .filter = FET__BILINEAR, .crop_pct = 0.9};
    float out[SIDE * SIDE * 3];
    fet__rng r = {.seed = seed};
    fet__image im;
    fet_status st;

    require(fet__image_create(&im, 30, 20) == FET_OK);
    for (int i = 0; i < 30 * 20 * 3; i++)
        im.pixels[i] = (uint8_t)(i * 7);
    st = fet__preprocess_image(out, &im, &p, a, &r);
    require(st == FET_OK || st == FET_E_ARG);
    fet__image_fini(&im);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fet__augment_plan any, sized;
    char text[MOST + 1];

    if (size > MOST)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    if (fet__augment_parse(&any, text, 0, 0) != FET_OK) {
        require(strncmp(fet_error_message(), "augment '", 9) == 0 && strstr(fet_error_message(), "at character "));
        require(fet__augment_parse(&sized, text, SIDE, SIDE) != FET_OK);
        return 0;
    }
    check(&any);
    if (fet__augment_parse(&sized, text, SIDE, SIDE) == FET_OK) {
        check(&sized);
        if (sized.count <= STEPS)
            apply(&sized, size);
    }
    return 0;
}
