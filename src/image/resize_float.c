/* The antialiased resize on float planes, without rounding to integers: for position embeddings and feature maps.
 * Sums in double, the result of each direction in float. */
#include "image/image_int.h"

#include <string.h>

/* One direction: output o of each of `outer` slices is a weighted sum of its input's blocks of `inner` floats. */
static void pass(float *out, const float *in, const fet__taps *t, int inputs, int64_t outer, int64_t inner, double *sum)
{
    for (int64_t slice = 0; slice < outer; slice++, in += inputs * inner) {
        for (int o = 0; o < t->count; o++, out += inner) {
            memset(sum, 0, (size_t)inner * sizeof *sum);
            for (int k = 0; k < t->used[o]; k++) {
                const float *from = in + (t->first[o] + k) * inner;
                double weight = t->weight[(size_t)o * (size_t)t->max + (size_t)k];

                for (int64_t c = 0; c < inner; c++)
                    sum[c] += weight * (double)from[c];
            }
            for (int64_t c = 0; c < inner; c++)
                out[c] = (float)sum[c];
        }
    }
}

static void nearest(float *out, int out_h, int out_w, const float *in, int in_h, int in_w, int channels)
{
    for (int y = 0; y < out_h; y++) {
        const float *row = in + (int64_t)fet__nearest_source(y, in_h, out_h) * in_w * channels;

        for (int x = 0; x < out_w; x++, out += channels)
            memcpy(out, row + (int64_t)fet__nearest_source(x, in_w, out_w) * channels, (size_t)channels * sizeof *out);
    }
}

/* The output's rows are made one at a time from whole rows of the middle image: in_h x out_w. */
static fet_status both_passes(float *out, int out_h, int out_w, const float *in, int in_h, int in_w, int channels,
                              fet__filter f)
{
    fet_status st;
    fet__taps across = {0}, down = {0};
    float *middle = NULL;
    double *sum = NULL;
    int64_t row = (int64_t)out_w * channels;

    FET_TRY(FET_NEW(sum, row));
    if (out_w != in_w) {
        FET_TRY(fet__taps_build(&across, in_w, out_w, 0, out_w, f));
        FET_TRY(FET_NEW(middle, in_h * row));
        pass(middle, in, &across, in_w, in_h, channels, sum);
    }
    if (out_h != in_h) {
        FET_TRY(fet__taps_build(&down, in_h, out_h, 0, out_h, f));
        pass(out, middle ? middle : in, &down, in_h, 1, row, sum);
    } else {
        memcpy(out, middle ? middle : in, (size_t)(in_h * row) * sizeof *out);
    }
done:
    fet__taps_fini(&across);
    fet__taps_fini(&down);
    fet__free(middle);
    fet__free(sum);
    return st;
}

fet_status fet__resize_float(float *out, int out_h, int out_w, const float *in, int in_h, int in_w, int channels,
                             fet__filter f)
{
    if (out_h <= 0 || out_w <= 0 || in_h <= 0 || in_w <= 0 || channels <= 0)
        return FET_FAIL(FET_E_ARG, "resize: cannot make %d x %d out of %d x %d with %d channels", out_h, out_w, in_h,
                        in_w, channels);
    if (f != FET__NEAREST)
        return both_passes(out, out_h, out_w, in, in_h, in_w, channels, f);
    nearest(out, out_h, out_w, in, in_h, in_w, channels);
    return FET_OK;
}
