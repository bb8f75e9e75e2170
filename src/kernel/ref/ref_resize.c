/* Interpolation weights along one axis, as torch.nn.functional.interpolate defines them without antialiasing: half-
 * pixel centres or aligned corners; bilinear positions are clamped at 0, bicubic ones (a = -0.75) are not, and bicubic
 * taps outside the axis read its edge. */
#include <math.h>

#include "kernel/ref/ref_int.h"

static double position(const fet__attr *a, int64_t in, int64_t out, int64_t o)
{
    if (a->resize.align_corners)
        return out > 1 ? (double)o * ((double)(in - 1) / (double)(out - 1)) : 0.0;
    double x = ((double)o + 0.5) * ((double)in / (double)out) - 0.5;
    return x < 0 && !a->resize.bicubic ? 0.0 : x;
}

static int64_t clamp(int64_t i, int64_t n)
{
    return i < 0 ? 0 : i >= n ? n - 1 : i;
}

static double near_tap(double x) /* |x| <= 1 */
{
    const double a = -0.75;
    return ((a + 2) * x - (a + 3)) * x * x + 1;
}

static double far_tap(double x) /* 1 < |x| < 2 */
{
    const double a = -0.75;
    return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
}

fet__ref_taps fet__ref_resize_taps(const fet__attr *a, int64_t in, int64_t out, int64_t o)
{
    double x = position(a, in, out, o), base = floor(x), t = x - base;
    int64_t i = (int64_t)base;
    fet__ref_taps taps;
    if (!a->resize.bicubic) {
        i = clamp(i, in);
        taps = (fet__ref_taps){.count = 2, .at = {i, clamp(i + 1, in)}, .weight = {1 - t, t}};
        return taps;
    }
    taps = (fet__ref_taps){.count = 4, .weight = {far_tap(t + 1), near_tap(t), near_tap(1 - t), far_tap(2 - t)}};
    for (int k = 0; k < 4; k++)
        taps.at[k] = clamp(i - 1 + k, in);
    return taps;
}
