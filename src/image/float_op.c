/* Operations on interleaved floats in [0, 1], three channels, unrounded: what the operations on 8-bit pictures approximate
 * (methods/mabn.md 4.4). Geometry does not care for the type and is not here. */
#include "image/image.h"

#include <math.h>

static double clamp(double v)
{
    return v < 0 ? 0 : v > 1 ? 1 : v;
}

static double gray(const float p[3])
{
    return 0.2989 * (double)p[0] + 0.587 * (double)p[1] + 0.114 * (double)p[2];
}

static void blend(float p[3], double other, double factor)
{
    for (int c = 0; c < 3; c++)
        p[c] = (float)clamp(factor * (double)p[c] + (1 - factor) * other);
}

static double mean_gray(const float *pixels, int64_t count)
{
    double sum = 0;

    for (int64_t i = 0; i < count; i++)
        sum += gray(pixels + 3 * i);
    return sum / (double)count;
}

/* A turn of the colour circle: hue is what lies between the largest and the smallest channel. */
static void turn_hue(float p[3], double by)
{
    double r = (double)p[0], g = (double)p[1], b = (double)p[2], most = fmax(r, fmax(g, b)),
           least = fmin(r, fmin(g, b));
    double range = most - least, hue = 0, saturation = most > 0 ? range / most : 0, f, sector;

    if (range > 0) {
        hue = most == r ? (g - b) / range : most == g ? 2 + (b - r) / range : 4 + (r - g) / range;
        hue = fmod(hue / 6 + 1, 1);
    }
    hue = fmod(hue + by + 1, 1) * 6;
    sector = floor(hue);
    f = hue - sector;
    r = most * (1 - saturation); /* the three values that channels take */
    g = most * (1 - saturation * f);
    b = most * (1 - saturation * (1 - f));
    switch ((int)sector % 6) {
    case 0: p[0] = (float)most, p[1] = (float)b, p[2] = (float)r; break;
    case 1: p[0] = (float)g, p[1] = (float)most, p[2] = (float)r; break;
    case 2: p[0] = (float)r, p[1] = (float)most, p[2] = (float)b; break;
    case 3: p[0] = (float)r, p[1] = (float)g, p[2] = (float)most; break;
    case 4: p[0] = (float)b, p[1] = (float)r, p[2] = (float)most; break;
    default: p[0] = (float)most, p[1] = (float)r, p[2] = (float)g; break;
    }
}

fet_status fet__float_op(float *pixels, int64_t count, fet__pixel_op op, double argument)
{
    double mean = op == FET__PIXEL_CONTRAST ? mean_gray(pixels, count) : 0;

    for (int64_t i = 0; i < count; i++) {
        float *p = pixels + 3 * i;
        switch (op) {
        case FET__PIXEL_BRIGHTNESS: blend(p, 0, argument); break;
        case FET__PIXEL_CONTRAST: blend(p, mean, argument); break;
        case FET__PIXEL_SATURATION: blend(p, gray(p), argument); break;
        case FET__PIXEL_GRAY: p[0] = p[1] = p[2] = (float)gray(p); break;
        case FET__PIXEL_HUE: turn_hue(p, argument); break;
        case FET__PIXEL_SOLARIZE:
            for (int c = 0; c < 3; c++)
                p[c] = (double)p[c] >= argument ? 1 - p[c] : p[c];
            break;
        default: return FET_FAIL(FET_E_ARG, "'%s' has no form for floats", fet__pixel_op_name(op));
        }
    }
    return FET_OK;
}

void fet__float_standardize(float *pixels, int64_t count)
{
    for (int c = 0; c < 3; c++) {
        double mean = 0, square = 0, scale;
        for (int64_t i = 0; i < count; i++)
            mean += (double)pixels[3 * i + c];
        mean /= (double)count;
        for (int64_t i = 0; i < count; i++)
            square += ((double)pixels[3 * i + c] - mean) * ((double)pixels[3 * i + c] - mean);
        scale = count > 1 && square > 0 ? sqrt(square / (double)(count - 1)) : 1;
        for (int64_t i = 0; i < count; i++)
            pixels[3 * i + c] = (float)(((double)pixels[3 * i + c] - mean) / scale);
    }
}
