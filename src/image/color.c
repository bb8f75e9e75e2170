/* The colour operations, in place and exactly as the reference computes them on 8-bit pictures: blend(D, I, f) =
 * trunc(clip(D + f * (I - D))) in float32, with D black, the mean gray, the pixel's own gray or a smoothed picture; and the hue shift through 8-bit HSV, which is lossy even for a shift of 0. */
#include "image/image_int.h"

#include <string.h>

#define CHANNELS 3

static int luma(const uint8_t *rgb)
{
    return (int)((19595u * rgb[0] + 38470u * rgb[1] + 7471u * rgb[2] + 32768u) >> 16);
}

static uint8_t blend(int degenerate, int value, float factor)
{
    float mixed = (float)degenerate + factor * (float)(value - degenerate);

    return mixed <= 0.0f ? 0 : mixed >= 255.0f ? 255 : (uint8_t)mixed;
}

static size_t byte_count(const fet__image *im)
{
    return (size_t)im->height * im->width * CHANNELS;
}

/* Blend every channel with one constant: one table for the 256 values. */
static void blend_with(fet__image *im, int constant, double factor)
{
    uint8_t table[256];
    size_t count = byte_count(im);

    for (int v = 0; v < 256; v++)
        table[v] = blend(constant, v, (float)factor);
    for (size_t i = 0; i < count; i++)
        im->pixels[i] = table[im->pixels[i]];
}

void fet__color_brightness(fet__image *im, double factor)
{
    blend_with(im, 0, factor);
}

void fet__color_contrast(fet__image *im, double factor)
{
    size_t count = byte_count(im);
    uint64_t sum = 0, pixels = count / CHANNELS;

    for (size_t i = 0; i < count; i += CHANNELS)
        sum += (uint64_t)luma(im->pixels + i);
    blend_with(im, (int)((double)sum / (double)pixels + 0.5), factor);
}

void fet__color_saturation(fet__image *im, double factor)
{
    size_t count = byte_count(im);

    for (size_t i = 0; i < count; i += CHANNELS) {
        int gray = luma(im->pixels + i);

        for (size_t c = 0; c < CHANNELS; c++)
            im->pixels[i + c] = blend(gray, im->pixels[i + c], (float)factor);
    }
}

void fet__color_gray(fet__image *im)
{
    size_t count = byte_count(im);

    for (size_t i = 0; i < count; i += CHANNELS)
        memset(im->pixels + i, luma(im->pixels + i), CHANNELS);
}

/* ---- sharpness ---- */

/* One value of the smoothed picture: 3 x 3 ones with 5 in the middle, over 13, rounded. */
static int smoothed(const uint8_t *v, size_t row)
{
    int sum = v[-(ptrdiff_t)row - CHANNELS] + v[-(ptrdiff_t)row] + v[-(ptrdiff_t)row + CHANNELS] + v[-CHANNELS] +
              5 * v[0] + v[CHANNELS] + v[row - CHANNELS] + v[row] + v[row + CHANNELS];

    return (2 * sum + 13) / 26;
}

/* The frame of one pixel is its own smoothed value, so it stays. */
fet_status fet__color_sharpness(fet__image *im, double factor)
{
    size_t row = (size_t)im->width * CHANNELS;
    fet__image next;
    fet_status st = fet__image_create_raw(&next, im->height, im->width);

    if (st != FET_OK)
        return st;
    memcpy(next.pixels, im->pixels, byte_count(im));
    for (int y = 1; y < im->height - 1; y++) {
        const uint8_t *in = im->pixels + (size_t)y * row;

        for (size_t i = CHANNELS; i + CHANNELS < row; i++)
            next.pixels[(size_t)y * row + i] = blend(smoothed(in + i, row), in[i], (float)factor);
    }
    fet__image_fini(im);
    *im = next;
    return FET_OK;
}

/* ---- hue ---- */

typedef struct hsv {
    uint8_t h, s, v;
} hsv;

static hsv to_hsv(const uint8_t *rgb)
{
    int r = rgb[0], g = rgb[1], b = rgb[2];
    int most = r > g ? (r > b ? r : b) : (g > b ? g : b), least = r < g ? (r < b ? r : b) : (g < b ? g : b);
    float range = (float)(most - least), rc, gc, bc, hue;
    double turns;

    if (most == least)
        return (hsv){0, 0, (uint8_t)most};
    rc = (float)(most - r) / range;
    gc = (float)(most - g) / range;
    bc = (float)(most - b) / range;
    if (r == most)
        hue = bc - gc;
    else if (g == most)
        hue = (float)(2.0 + (double)rc - (double)bc);
    else
        hue = (float)(4.0 + (double)gc - (double)rc);
    turns = (double)hue / 6.0 + 1.0; /* in (0.8, 1.9): its fraction is exact by one subtraction */
    hue = (float)(turns >= 1.0 ? turns - 1.0 : turns);
    return (hsv){(uint8_t)(int)((double)hue * 255.0), (uint8_t)(int)((double)(range / (float)most) * 255.0),
                 (uint8_t)most};
}

/* round() of what is not negative, without a call. */
static uint8_t rounded(double x)
{
    int whole = (int)x;

    return (uint8_t)(whole + (x - whole >= 0.5));
}

static void to_rgb(uint8_t *rgb, hsv c)
{
    double sixths = (double)c.h * 6.0 / 255.0, saturation = c.s / 255.0, value = c.v;
    int sector = (int)sixths;
    double part = sixths - sector;
    uint8_t v = c.v, p = rounded(value * (1.0 - saturation)), q = rounded(value * (1.0 - saturation * part));
    uint8_t t = rounded(value * (1.0 - saturation * (1.0 - part)));
    const uint8_t sectors[6][CHANNELS] = {{v, t, p}, {q, v, p}, {p, v, t}, {p, q, v}, {t, p, v}, {v, p, q}};

    for (int i = 0; i < CHANNELS; i++)
        rgb[i] = sectors[sector % 6][i];
}

void fet__color_hue(fet__image *im, double shift)
{
    size_t count = byte_count(im);
    int steps = (int)(255.0 * shift); /* towards zero */

    for (size_t i = 0; i < count; i += CHANNELS) {
        hsv c = to_hsv(im->pixels + i);

        c.h = (uint8_t)(c.h + steps);
        to_rgb(im->pixels + i, c);
    }
}
