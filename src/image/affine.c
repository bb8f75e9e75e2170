/* Affine changes of a picture on its own canvas: each output pixel looks up a place in the source. Nearest takes the pixel
 * there; bilinear and bicubic read the neighbours (clamped to the border) of a place inside and truncate; a place
 * outside gives the fill colour. The bicubic kernel is Keys' with a = -1, which is what the reference samples
 * with here (its resizing uses a = -0.5). */
#include "image/image_int.h"

#include <math.h>
#include <string.h>

#define CHANNELS 3

typedef struct source {
    const fet__image *im;
    double x, y; /* inside the picture */
} source;

static int clamped(int i, int n)
{
    return i < 0 ? 0 : i >= n ? n - 1 : i;
}

static const uint8_t *pixel(const fet__image *im, int y, int x)
{
    return im->pixels + ((size_t)clamped(y, im->height) * im->width + clamped(x, im->width)) * CHANNELS;
}

static void nearest(uint8_t *out, const source *s)
{
    memcpy(out, pixel(s->im, (int)s->y, (int)s->x), CHANNELS);
}

static void bilinear(uint8_t *out, const source *s)
{
    double x = s->x - 0.5, y = s->y - 0.5;
    int left = (int)floor(x), top = (int)floor(y);
    double dx = x - left, dy = y - top;
    const uint8_t *a = pixel(s->im, top, left), *b = pixel(s->im, top, left + 1), *c = pixel(s->im, top + 1, left),
                  *d = pixel(s->im, top + 1, left + 1);

    for (int i = 0; i < CHANNELS; i++) {
        double upper = a[i] + (b[i] - a[i]) * dx, lower = c[i] + (d[i] - c[i]) * dx;

        out[i] = (uint8_t)(upper + (lower - upper) * dy);
    }
}

/* Weights of the four neighbours of a place `d` after the second one. */
static void keys(double weight[4], double d)
{
    double e = 1.0 - d;

    weight[0] = -d * e * e;
    weight[1] = (d * d * (d - 2.0)) + 1.0;
    weight[2] = (e * e * (e - 2.0)) + 1.0;
    weight[3] = -e * d * d;
}

static void bicubic(uint8_t *out, const source *s)
{
    double x = s->x - 0.5, y = s->y - 0.5, across[4], down[4];
    int left = (int)floor(x) - 1, top = (int)floor(y) - 1, column[4];
    const uint8_t *row[4];

    keys(across, x - floor(x));
    keys(down, y - floor(y));
    for (int i = 0; i < 4; i++) {
        column[i] = clamped(left + i, s->im->width) * CHANNELS;
        row[i] = pixel(s->im, top + i, 0);
    }
    for (int c = 0; c < CHANNELS; c++) {
        double sum = 0.0;

        for (int i = 0; i < 4; i++)
            sum += down[i] * (across[0] * row[i][column[0] + c] + across[1] * row[i][column[1] + c] +
                              across[2] * row[i][column[2] + c] + across[3] * row[i][column[3] + c]);
        out[c] = sum <= 0.0 ? 0 : sum >= 255.0 ? 255 : (uint8_t)sum;
    }
}

void fet__affine_rotation(double m[6], double degrees, int height, int width)
{
    double angle = -degrees * 3.14159265358979323846 / 180.0, a = cos(angle), b = sin(angle);
    double x = width / 2.0, y = height / 2.0;

    m[0] = a;
    m[1] = b;
    m[2] = x - a * x - b * y;
    m[3] = -b;
    m[4] = a;
    m[5] = y + b * x - a * y;
}

static bool is_inside(const source *s)
{
    return s->x >= 0.0 && s->x < s->im->width && s->y >= 0.0 && s->y < s->im->height;
}

fet_status fet__image_affine(fet__image *out, const fet__image *in, const double m[6], const fet__sampling *how)
{
    void (*sample)(uint8_t *, const source *) = how->filter == FET__NEAREST    ? nearest
                                                : how->filter == FET__BILINEAR ? bilinear
                                                : how->filter == FET__BICUBIC  ? bicubic
                                                                               : NULL;
    source s = {in, 0.0, 0.0};
    fet_status st;

    memset(out, 0, sizeof *out);
    if (!sample)
        return FET_FAIL(FET_E_ARG, "an affine change samples by nearest, bilinear or bicubic, not by %s",
                        fet__filter_name(how->filter));
    st = fet__image_create_raw(out, in->height, in->width);
    if (st != FET_OK)
        return st;
    for (int y = 0; y < in->height; y++) {
        uint8_t *row = out->pixels + (size_t)y * in->width * CHANNELS;

        for (int x = 0; x < in->width; x++, row += CHANNELS) {
            s.x = m[0] * (x + 0.5) + m[1] * (y + 0.5) + m[2];
            s.y = m[3] * (x + 0.5) + m[4] * (y + 0.5) + m[5];
            if (is_inside(&s))
                sample(row, &s);
            else
                memcpy(row, how->fill, CHANNELS);
        }
    }
    return FET_OK;
}
