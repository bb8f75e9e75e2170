/* An augmentation's text to its plan, by one table of words. The text is a list of steps joined by '+':
 *
 *     rrc:scale=0.08-1+flip+rand-m9-mstd0.5-inc1+erase=0.25+mixup=0.8+cutmix=1
 *
 * none, light and strong are such texts under a name. A frame (rrc, crop) comes first; steps on pixels act in the order
 * written; erasing acts on the normalised picture and mixing on the batch, wherever they are written. What a plan does
 * to a picture is in augment_apply.c. */
#include "data/augment_text.h"
#include "data/data_int.h"

#include <string.h>

#define SMALL_SIDE 64 /* up to here light augmentation shifts instead of scaling */
#define ANY 1e6

typedef struct parser {
    fet__augment_plan *plan;
    int height, width; /* 0: not known yet */
    bool framed;       /* a frame or a step came already */
    bool quiet;        /* the size is not known: a check ahead of the real parse */
} parser;

typedef void (*step_fn)(parser *p, fet__step_text *s);

/* ---- parts ----------------------------------------------------------------------------------------------------------- */

static fet__augment_step *add(parser *p, fet__step_text *s, fet__augment_kind kind)
{
    static fet__augment_step none;
    fet__augment_step *step = &none;

    p->framed = true;
    if (p->plan->count == FET__AUGMENT_STEPS) {
        fet__step_fail(s, s->at, "more than %d steps", FET__AUGMENT_STEPS);
        return &none;
    }
    step = &p->plan->steps[p->plan->count++];
    *step = (fet__augment_step){.kind = kind, .probability = 1};
    return step;
}

static void probability(fet__step_text *s, fet__augment_step *step)
{
    fet__step_number(s, "p", 0, 1, &step->probability);
}

static void frame(parser *p, fet__step_text *s)
{
    if (p->framed)
        fet__step_fail(s, s->at, "'%s' gives the picture its size: it comes first, and once", s->word);
    p->framed = true;
}

/* Returns whether one was given. */
static bool filter(fet__step_text *s, const char *words, fet__filter *out)
{
    static const char *const names[] = {"nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"};
    int at = fet__step_choice(s, "filter", words), place = 0;

    for (const char *w = words; at >= 0 && *w; place++) {
        size_t n = strcspn(w, " ");

        for (size_t i = 0; place == at && i < FET_COUNT(names); i++)
            if (strlen(names[i]) == n && memcmp(names[i], w, n) == 0)
                *out = (fet__filter)i;
        w += n + (w[n] == ' ');
    }
    return at >= 0;
}

/* One value, or three; returns whether it was given. */
static bool color(fet__step_text *s, const char *key, uint8_t out[3])
{
    double v[3];
    int count = fet__step_numbers(s, key, 0, 255, v, 3);

    if (count == 2)
        fet__step_fail(s, s->at, "%s of '%s': one value or three are needed", key, s->word);
    for (int c = 0; c < 3 && count > 0; c++)
        out[c] = (uint8_t)v[count == 3 ? c : 0];
    return count > 0;
}

/* ---- frames ---------------------------------------------------------------------------------------------------------- */

static void read_rrc(parser *p, fet__step_text *s)
{
    fet__augment_plan *a = p->plan;

    frame(p, s);
    a->frame = FET__FRAME_RESIZED_CROP;
    a->scale[0] = 0.08;
    a->scale[1] = 1;
    a->ratio[0] = 3.0 / 4;
    a->ratio[1] = 4.0 / 3;
    fet__step_range(s, "scale", 1e-6, 1, a->scale);
    fet__step_range(s, "ratio", 0.01, 100, a->ratio);
    a->own_filter = filter(s, "nearest box bilinear hamming bicubic lanczos", &a->filter);
}

static void read_crop(parser *p, fet__step_text *s)
{
    fet__augment_plan *a = p->plan;
    int mode;

    frame(p, s);
    a->frame = FET__FRAME_PAD_CROP;
    a->pad = (fet__pad_crop){.pad = -1};
    fet__step_whole(s, "pad", 0, 4096, &a->pad.pad);
    mode = fet__step_choice(s, "mode", "constant edge reflect symmetric");
    if (mode >= 0)
        a->pad.mode = (fet__padding)mode;
    color(s, "fill", a->pad.fill);
}

/* ---- steps on pixels --------------------------------------------------------------------------------------------------- */

static void read_flip(parser *p, fet__step_text *s)
{
    fet__augment_step *step = add(p, s, s->word[0] == 'v' ? FET__AUGMENT_FLIP_ROWS : FET__AUGMENT_FLIP);

    step->probability = 0.5;
    probability(s, step);
}

static void read_turn(parser *p, fet__step_text *s)
{
    fet__augment_step *step = add(p, s, FET__AUGMENT_TURN);

    probability(s, step);
    if (p->height != p->width)
        fet__step_fail(s, s->at, "'turn' needs square pictures, not %d x %d", p->height, p->width);
}

static void read_jitter(parser *p, fet__step_text *s)
{
    fet__augment_step *step = add(p, s, FET__AUGMENT_JITTER);
    double v[4] = {0.4, 0.4, 0.4, 0.1};
    int count = fet__step_numbers(s, "bcsh", 0, 100, v, 4);

    if (count > 0 && count < 4)
        fet__step_fail(s, s->at, "'jitter' takes four numbers, brightness-contrast-saturation-hue, not %d", count);
    if (v[3] > 0.5)
        fet__step_fail(s, s->at, "'jitter': a hue of %g is not in 0..0.5", v[3]);
    step->jitter = (fet__jitter){v[0], v[1], v[2], v[3]};
    probability(s, step);
}

static void read_blur(parser *p, fet__step_text *s)
{
    fet__augment_step *step = add(p, s, FET__AUGMENT_BLUR);
    int side = p->height < p->width ? p->height : p->width, kind;

    step->range[0] = 0.1;
    step->range[1] = 2;
    probability(s, step);
    fet__step_range(s, "sigma", 1e-3, 1000, step->range);
    fet__step_whole(s, "kernel", 1, 9999, &step->kernel);
    kind = fet__step_choice(s, "kind", "kernel box");
    step->boxes = kind == 1;
    if (step->kernel && step->kernel % 2 == 0)
        fet__step_fail(s, s->at, "'blur': a kernel of %d is not odd", step->kernel);
    if (step->kernel && side && step->kernel / 2 >= side)
        fet__step_fail(s, s->at, "'blur': a kernel of %d is too wide for %d x %d pixels", step->kernel, p->height,
                       p->width);
}

/* An operation with one argument, drawn evenly from a range. */
static fet__augment_step *add_op(parser *p, fet__step_text *s, fet__pixel_op op, double low, double high)
{
    fet__augment_step *step = add(p, s, FET__AUGMENT_OP);

    step->op = op;
    step->range[0] = low;
    step->range[1] = high;
    return step;
}

static void read_gray(parser *p, fet__step_text *s)
{
    fet__augment_step *step = add_op(p, s, FET__PIXEL_GRAY, 0, 0);

    step->probability = 0.1;
    probability(s, step);
}

static void read_plain_op(parser *p, fet__step_text *s)
{
    fet__pixel_op op = s->word[0] == 'i'   ? FET__PIXEL_INVERT
                       : s->word[0] == 'e' ? FET__PIXEL_EQUALIZE
                                           : FET__PIXEL_AUTOCONTRAST;

    probability(s, add_op(p, s, op, 0, 0));
}

static void read_solarize(parser *p, fet__step_text *s)
{
    fet__augment_step *step = add_op(p, s, FET__PIXEL_SOLARIZE, 128, 128);

    probability(s, step);
    fet__step_range(s, "threshold", 0, 256, step->range);
}

static void read_solarize_add(parser *p, fet__step_text *s)
{
    fet__augment_step *step = add_op(p, s, FET__PIXEL_SOLARIZE_ADD, 0, 110);

    probability(s, step);
    fet__step_range(s, "amount", 0, 128, step->range);
}

static void read_posterize(parser *p, fet__step_text *s)
{
    fet__augment_step *step = add_op(p, s, FET__PIXEL_POSTERIZE, 4, 4);
    int bits = 4;

    probability(s, step);
    fet__step_whole(s, "bits", 0, 8, &bits);
    step->range[0] = step->range[1] = bits;
}

static void read_sharpness(parser *p, fet__step_text *s)
{
    fet__augment_step *step = add_op(p, s, FET__PIXEL_SHARPNESS, 0.1, 1.9);

    probability(s, step);
    fet__step_range(s, "factor", 0, 100, step->range);
}

static void read_rotate(parser *p, fet__step_text *s)
{
    fet__augment_step *step = add_op(p, s, FET__PIXEL_ROTATE, 0, 0);
    double degrees = 15;

    fet__step_number(s, "degrees", 0, 180, &degrees);
    step->range[0] = -degrees;
    step->range[1] = degrees;
    step->sampling.filter = FET__BILINEAR;
    filter(s, "nearest bilinear bicubic", &step->sampling.filter);
    step->mean_fill = !color(s, "fill", step->sampling.fill);
    probability(s, step);
}

/* ---- RandAugment ------------------------------------------------------------------------------------------------------- */

static void read_bins(parser *p, fet__step_text *s)
{
    fet__augment_step *step = add(p, s, FET__AUGMENT_RAND_BINS);
    fet__rand_bins *a = &step->bins;

    *a = (fet__rand_bins){.ops = 2, .magnitude = 9, .bins = 31};
    fet__step_whole(s, "n", 1, 100, &a->ops);
    fet__step_whole(s, "bins", 2, 1000, &a->bins);
    fet__step_whole(s, "m", 0, 999, &a->magnitude);
    filter(s, "nearest bilinear bicubic", &a->sampling.filter);
    color(s, "fill", a->sampling.fill);
    probability(s, step);
    if (a->magnitude >= a->bins)
        fet__step_fail(s, s->at, "'%s': magnitude %d is not one of the %d bins (0 to %d)", s->word, a->magnitude,
                       a->bins, a->bins - 1);
}

/* One section of "rand-m9-mstd0.5-inc1": letters, then a number. */
static void rand_section(parser *p, fet__step_text *s, fet__rand_layers *a, const char *section)
{
    static const char *const names[] = {"m", "n", "mstd", "mmax", "inc", "p"};
    size_t letters = strcspn(section, "0123456789.");
    double v = 0;
    int which = -1;

    for (int i = 0; i < (int)FET_COUNT(names); i++)
        if (strlen(names[i]) == letters && memcmp(names[i], section, letters) == 0)
            which = i;
    if (which < 0 || !fet__parse_double(section + letters, &v) || v < 0) {
        fet__step_fail(s, s->at, "'%s': section '%s' is none of mM, nN, mstdX, mmaxX, incN, pX", fet__show(s->word),
                       fet__show(section));
        return;
    }
    switch (which) {
    case 0: a->magnitude = v; break;
    case 1: a->layers = (int)v; break;
    case 2: a->deviation = v; break;
    case 3: a->most = v; break;
    case 4: a->increasing = v != 0; break;
    default: a->probability = v; break;
    }
    if (which == 1 && (v < 1 || v > 100 || v != a->layers))
        fet__step_fail(s, s->at, "'%s': %g layers are not a whole number from 1 to 100", fet__show(s->word), v);
    if (which == 4 && v == 0 && !p->quiet)
        fet__note("augment: inc0 leaves increasing severities off (the parser this text comes from switches them on "
                  "with any digit)");
}

static void read_rand(parser *p, fet__step_text *s)
{
    fet__augment_step *step = add(p, s, FET__AUGMENT_RAND);
    fet__rand_layers *a = &step->layers;
    char text[FET__STEP_TEXT], *rest = text, *section;

    *a = (fet__rand_layers){.layers = 2, .magnitude = 10, .most = 10, .probability = 0.5};
    snprintf(text, sizeof text, "%s", s->word);
    strsep(&rest, "-");
    while ((section = strsep(&rest, "-")) != NULL && s->st == FET_OK)
        rand_section(p, s, a, section);
    a->any_filter = !filter(s, "nearest bilinear bicubic", &a->sampling.filter);
    step->mean_fill = !color(s, "fill", a->sampling.fill);
    if (a->magnitude > a->most)
        fet__step_fail(s, s->at, "'%s': magnitude %g is above %g", fet__show(s->word), a->magnitude, a->most);
    if (a->most > ANY || a->deviation > ANY || a->probability > 1)
        fet__step_fail(s, s->at, "'%s': a value is out of range", fet__show(s->word));
}

/* ---- erasing and mixing -------------------------------------------------------------------------------------------------- */

static void read_erase(parser *p, fet__step_text *s)
{
    fet__erase *e = &p->plan->erase;
    bool reid = strcmp(s->word, "erase-reid") == 0;
    double count[2] = {1, 1}, v[3];
    int mode, values;

    if (e->tries)
        fet__step_fail(s, s->at, "erasing is given twice");
    *e = (fet__erase){.probability = reid ? 0.5 : 0.25,
                      .area = {0.02, reid ? 0.4 : 1.0 / 3},
                      .aspect = {0.3, 1 / 0.3},
                      .even_aspect = reid,
                      .tries = reid ? 100 : 10,
                      .fill = reid ? FET__ERASE_CONST : FET__ERASE_PIXEL};
    if (reid)
        memcpy(e->value, (const float[3]){0.485f, 0.456f, 0.406f}, sizeof e->value);
    fet__step_number(s, "p", 0, 1, &e->probability);
    fet__step_range(s, "area", 1e-6, 1, e->area);
    fet__step_range(s, "aspect", 0.01, 100, e->aspect);
    fet__step_range(s, "count", 1, 100, count);
    e->least = (int)count[0];
    e->most = (int)count[1];
    mode = fet__step_choice(s, "mode", "const color pixel");
    values = fet__step_numbers(s, "value", -ANY, ANY, v, 3);
    if (values == 2 || (values > 0 && mode > 0))
        fet__step_fail(s, s->at, "'%s': value takes one number or three, and mode=const", s->word);
    if (mode >= 0 || values > 0)
        e->fill = mode > 0 ? (fet__erase_fill)mode : FET__ERASE_CONST;
    for (int c = 0; c < 3 && values > 0; c++)
        e->value[c] = (float)v[values == 3 ? c : 0];
}

static void read_alpha(parser *p, fet__step_text *s)
{
    double *alpha = s->word[0] == 'm' ? &p->plan->mix.mixup : &p->plan->mix.cutmix;

    *alpha = s->word[0] == 'm' ? 0.8 : 1;
    fet__step_number(s, "alpha", 0, 1000, alpha);
}

static void read_mix(parser *p, fet__step_text *s)
{
    fet__mix *m = &p->plan->mix;

    fet__step_number(s, "p", 0, 1, &m->probability);
    fet__step_number(s, "switch", 0, 1, &m->switching);
    m->shuffled = fet__step_choice(s, "partner", "reversed shuffled") == 1;
}

/* ---- the table ------------------------------------------------------------------------------------------------------------ */

static void read_none(parser *p, fet__step_text *s)
{
    frame(p, s);
    p->framed = false;
}

static void read_named(parser *p, fet__step_text *s);

static const struct {
    const char *word, *main;
    step_fn read;
} words[] = {
    {"none", NULL, read_none},
    {"light", NULL, read_named},
    {"strong", NULL, read_named},
    {"rrc", "scale", read_rrc},
    {"crop", "pad", read_crop},
    {"flip", "p", read_flip},
    {"vflip", "p", read_flip},
    {"turn", "p", read_turn},
    {"jitter", "bcsh", read_jitter},
    {"gray", "p", read_gray},
    {"blur", "p", read_blur},
    {"solarize", "p", read_solarize},
    {"solarize-add", "p", read_solarize_add},
    {"posterize", "p", read_posterize},
    {"invert", "p", read_plain_op},
    {"equalize", "p", read_plain_op},
    {"autocontrast", "p", read_plain_op},
    {"sharpness", "p", read_sharpness},
    {"rotate", "degrees", read_rotate},
    {"rand", NULL, read_rand},
    {"rand-bins", NULL, read_bins},
    {"erase", "p", read_erase},
    {"erase-reid", "p", read_erase},
    {"mixup", "alpha", read_alpha},
    {"cutmix", "alpha", read_alpha},
    {"mix", NULL, read_mix},
};

/* The word as a whole, or what stands before its first '-': sections belong to rand. */
static int nearest_word(const char *word)
{
    const char *names[FET_COUNT(words)];
    char begin[FET__STEP_TEXT];
    int near;

    for (size_t i = 0; i < FET_COUNT(words); i++)
        names[i] = words[i].word;
    near = fet__nearest(word, names, (int)FET_COUNT(words));
    if (near >= 0)
        return near;
    snprintf(begin, sizeof begin, "%.*s", (int)strcspn(word, "-"), word);
    return fet__nearest(begin, names, (int)FET_COUNT(words));
}

static fet_status unknown_word(fet__step_text *s)
{
    int near = nearest_word(s->word);

    if (near >= 0)
        return fet__step_fail(s, s->at, "unknown word '%s'; the nearest is '%s'", fet__show(s->word), words[near].word);
    return fet__step_fail(s, s->at,
                          "unknown word '%s'; there are none light strong rrc crop flip jitter rand-m9-... erase "
                          "mixup cutmix and more (docs/augmentation.md)",
                          fet__show(s->word));
}

static fet_status read_step(parser *p, fet__step_text *s)
{
    for (size_t i = 0; i < FET_COUNT(words); i++) {
        if (strcmp(words[i].word, s->word) != 0)
            continue;
        s->main = words[i].main;
        words[i].read(p, s);
        return fet__step_end(s);
    }
    if (strncmp(s->word, "rand-", 5) != 0)
        return unknown_word(s);
    read_rand(p, s);
    return fet__step_end(s);
}

static fet_status read_steps(parser *p, const char *spec)
{
    size_t at = 0;
    fet__step_text s;

    for (;;) {
        fet_status st = fet__step_split(&s, spec, &at);

        if (st == FET_OK)
            st = read_step(p, &s);
        if (st != FET_OK || spec[at] == '\0')
            return st;
        at++;
    }
}

/* light and strong in the words of this file. */
static void read_named(parser *p, fet__step_text *s)
{
    bool small = p->height == p->width && p->height > 0 && p->height <= SMALL_SIDE;

    frame(p, s);
    p->framed = false;
    if (s->st == FET_OK && strcmp(s->word, "strong") == 0)
        s->st = read_steps(p, "rrc+flip+jitter=0.4-0.4-0.4-0.1");
    else if (s->st == FET_OK)
        s->st = read_steps(p, small ? "crop+flip" : "rrc:scale=0.5-1+flip");
}

fet_status fet__augment_parse(fet__augment_plan *out, const char *spec, int height, int width)
{
    parser p = {.plan = out, .height = height, .width = width, .quiet = height == 0};
    fet_status st;

    memset(out, 0, sizeof *out);
    out->mix.probability = 1;
    out->mix.switching = 0.5;
    st = read_steps(&p, spec);
    if (st != FET_OK)
        return fet__fail_in(st, "augment '%s'", fet__show(spec));
    return FET_OK;
}

bool fet__augment_mixes(const fet__augment_plan *a)
{
    return a && (a->mix.mixup > 0 || a->mix.cutmix > 0) && a->mix.probability > 0;
}
