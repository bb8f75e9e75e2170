/* Gaussian blur in its two usual forms. By a kernel: normalised taps along each axis, the borders mirrored without
 * repetition, in float32 and rounded once, ties to even. By boxes: three box blurs along x and three along y whose width
 * has a fraction, in fixed point with 24 bits, each rounded to 8 bits and the borders repeated. */
#include "image/image_int.h"

#include <math.h>
#include <string.h>

#define CHANNELS 3

/* ---- by a kernel ---------------------------------------------------------------------------------------------- */

static void make_taps(float *taps, int kernel, double sigma)
{
    int half = kernel / 2;
    double sum = 0.0;

    for (int i = 0; i < kernel; i++) {
        double t = (i - half) / sigma;

        sum += exp(-0.5 * t * t);
    }
    for (int i = 0; i < kernel; i++) {
        double t = (i - half) / sigma;

        taps[i] = (float)(exp(-0.5 * t * t) / sum);
    }
}

static int mirrored(int i, int n)
{
    return i < 0 ? -i : i >= n ? 2 * n - 2 - i : i;
}

/* Values at a time: of a known number, so that they stay in vector registers while the taps go by. */
#define BLOCK 16

static void blur_block(float *out, const float *const *from, const float *taps, int kernel, size_t at)
{
    float sum[BLOCK] = {0};

    for (int k = 0; k < kernel; k++)
        for (int i = 0; i < BLOCK; i++)
            sum[i] += taps[k] * from[k][at + (size_t)i];
    memcpy(out + at, sum, sizeof sum);
}

/* One row of `count` values: value i is the sum of taps[k] * from[k][i]. */
static void blur_row(float *out, const float *const *from, const float *taps, int kernel, size_t count)
{
    size_t at = 0;

    for (; at + BLOCK <= count; at += BLOCK)
        blur_block(out, from, taps, kernel, at);
    for (; at < count; at++) {
        float sum = 0.0f;

        for (int k = 0; k < kernel; k++)
            sum += taps[k] * from[k][at];
        out[at] = sum;
    }
}

typedef struct blur {
    float *taps, *padded, *across; /* [kernel], a row with its mirrored ends, the picture after the first pass */
    const float **from;            /* [kernel]: where each tap reads */
    int kernel, height, width, channels;
} blur;

static void blur_across(blur *b, const float *in)
{
    int half = b->kernel / 2;
    size_t pixel = (size_t)b->channels, row = (size_t)b->width * pixel;

    for (int k = 0; k < b->kernel; k++)
        b->from[k] = b->padded + (size_t)k * pixel;
    for (int y = 0; y < b->height; y++) {
        const float *from = in + (size_t)y * row;

        for (int i = 0; i < half; i++) {
            memcpy(b->padded + (size_t)i * pixel, from + (size_t)(half - i) * pixel, pixel * sizeof *from);
            memcpy(b->padded + (size_t)(half + b->width + i) * pixel, from + (size_t)(b->width - 2 - i) * pixel,
                   pixel * sizeof *from);
        }
        memcpy(b->padded + (size_t)half * pixel, from, row * sizeof *from);
        blur_row(b->across + (size_t)y * row, b->from, b->taps, b->kernel, row);
    }
}

static void blur_down(const blur *b, float *out)
{
    size_t row = (size_t)b->width * (size_t)b->channels;

    for (int y = 0; y < b->height; y++) {
        for (int k = 0; k < b->kernel; k++)
            b->from[k] = b->across + (size_t)mirrored(y + k - b->kernel / 2, b->height) * row;
        blur_row(out + (size_t)y * row, b->from, b->taps, b->kernel, row);
    }
}

static fet_status check_kernel(int kernel, double sigma, int height, int width)
{
    int shorter = height < width ? height : width;

    if (kernel < 1 || kernel % 2 == 0)
        return FET_FAIL(FET_E_ARG, "a blur's kernel of %d must be odd and positive", kernel);
    if (!(sigma > 0.0) || !isfinite(sigma))
        return FET_FAIL(FET_E_ARG, "a blur's sigma of %g must be above 0", sigma);
    if (kernel / 2 >= shorter)
        return FET_FAIL(FET_E_ARG, "a blur's kernel of %d is too wide for %d x %d pixels: half of it must be below %d",
                        kernel, height, width, shorter);
    return FET_OK;
}

fet_status fet__blur_float(float *out, const float *in, int height, int width, int channels, int kernel, double sigma)
{
    blur b = {.kernel = kernel, .height = height, .width = width, .channels = channels};
    size_t pixel = (size_t)channels;
    fet_status st;

    FET_TRY(check_kernel(kernel, sigma, height, width));
    FET_TRY(FET_NEW(b.taps, kernel));
    FET_TRY(FET_NEW(b.from, kernel));
    FET_TRY(FET_NEW(b.padded, ((size_t)width + (size_t)kernel) * pixel));
    if (!(b.across = fet__alloc_raw((size_t)height * (size_t)width * pixel, sizeof *b.across))) {
        st = FET_E_NOMEM;
        goto done;
    }
    make_taps(b.taps, kernel, sigma);
    blur_across(&b, in);
    blur_down(&b, out);
done:
    fet__free(b.taps);
    fet__free(b.from);
    fet__free(b.padded);
    fet__free(b.across);
    return st;
}

fet_status fet__image_blur(fet__image *im, int kernel, double sigma)
{
    size_t count = (size_t)im->height * im->width * CHANNELS;
    float *in = fet__alloc_raw(count, sizeof *in), *out = fet__alloc_raw(count, sizeof *out);
    fet_status st = in && out ? FET_OK : FET_E_NOMEM;

    for (size_t i = 0; in && i < count; i++)
        in[i] = im->pixels[i];
    if (st == FET_OK)
        st = fet__blur_float(out, in, im->height, im->width, CHANNELS, kernel, sigma);
    for (size_t i = 0; st == FET_OK && i < count; i++)
        im->pixels[i] = (uint8_t)fminf(nearbyintf(out[i]), 255.0f);
    fet__free(in);
    fet__free(out);
    return st;
}

/* ---- by boxes --------------------------------------------------------------------------------------------------- */

#define PASSES 3

/* One box: `half` whole samples on either side and a share of the next, weights in 1 / 2^24. */
typedef struct box {
    int half;
    uint32_t whole, share;
} box;

static box box_of(double radius)
{
    float sigma = (float)radius, s2 = sigma * sigma / (float)PASSES, length = (float)sqrt(12.0 * (double)s2 + 1.0);
    float l = (float)floor(((double)length - 1.0) / 2.0);
    float a = ((2 * l + 1) * (l * (l + 1) - 3 * s2)) / (6 * (s2 - (l + 1) * (l + 1))), r = l + a;
    box b = {.half = (int)r};

    b.whole = (uint32_t)(16777216.0f / (r * 2.0f + 1.0f));
    b.share = ((1u << 24) - (uint32_t)(2 * b.half + 1) * b.whole) / 2;
    return b;
}

/* One line of n samples, `step` bytes apart; `line` has room for the samples and their repeated ends. */
static void box_line(uint8_t *v, size_t step, int n, const box *b, uint8_t *line)
{
    int reach = b->half + 1;
    uint32_t sum = 0;

    memset(line, v[0], (size_t)reach);
    for (int i = 0; i < n; i++)
        line[reach + i] = v[(size_t)i * step];
    memset(line + reach + n, v[(size_t)(n - 1) * step], (size_t)reach);
    for (int i = 1; i < 2 * reach; i++)
        sum += line[i];
    for (int i = 0; i < n; i++) {
        uint32_t ends = (uint32_t)line[i] + line[i + 2 * reach];

        v[(size_t)i * step] = (uint8_t)((sum * b->whole + ends * b->share + (1u << 23)) >> 24);
        sum += (uint32_t)line[i + 2 * reach] - line[i + 1];
    }
}

fet_status fet__image_blur_box(fet__image *im, double radius)
{
    size_t longer = (size_t)(im->height > im->width ? im->height : im->width), row = (size_t)im->width * CHANNELS;
    uint8_t *line;
    box b;

    if (!(radius >= 0.0) || radius > 10000.0)
        return FET_FAIL(FET_E_ARG, "a blur's radius of %g is not in 0..10000", radius);
    if (radius == 0.0)
        return FET_OK;
    b = box_of(radius);
    line = fet__alloc_raw(longer + 2 * ((size_t)b.half + 1), 1);
    if (!line)
        return FET_E_NOMEM;
    for (int y = 0; y < im->height; y++)
        for (int i = 0; i < PASSES * CHANNELS; i++)
            box_line(im->pixels + (size_t)y * row + i % CHANNELS, CHANNELS, im->width, &b, line);
    for (size_t i = 0; i < row; i++)
        for (int pass = 0; pass < PASSES; pass++)
            box_line(im->pixels + i, row, im->height, &b, line);
    fet__free(line);
    return FET_OK;
}
