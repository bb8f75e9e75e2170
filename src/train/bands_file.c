/* Pictures of any number of channels from NumPy files: the array "x", or the only one, [channels, height, width], as it is. */
#include "train/train.h"

#include <math.h>

static fet_status take(float *out, const fet__entry *e, const char *path, int height, int width, int channels)
{
    int64_t area = (int64_t)height * width;
    float *plane = NULL;
    fet__shape wanted = FET_SHAPE(channels, height, width);
    fet_status st;

    if (!fet__shape_equal(&e->shape, &wanted))
        return FET_FAIL(FET_E_DATA, "%s: array %s has shape %s where the model takes %s (channels, height, width)",
                        fet__show(path), fet__show(e->name), fet__shape_text(&e->shape), fet__shape_text(&wanted));
    FET_TRY(FET_NEW(plane, area));
    for (int c = 0; c < channels; c++) {
        fet__convert(plane, FET_F32, (const char *)e->data + (int64_t)c * area * (int64_t)fet__dtype_bytes(e->dtype),
                     e->dtype, area);
        for (int64_t i = 0; i < area; i++) {
            if (!isfinite(plane[i])) {
                st = FET_FAIL(FET_E_DATA, "%s: channel %d holds a value that is not finite", fet__show(path), c);
                goto done;
            }
            out[i * channels + c] = plane[i];
        }
    }
done:
    fet__free(plane);
    return st;
}

fet_status fet__bands_read(float *out, const char *path, int height, int width, int channels)
{
    fet__tensors *t = NULL;
    const fet__entry *e;
    fet_status st;

    FET_TRY(fet__tensors_open(&t, path));
    e = fet__tensors_find(t, "x");
    if (!e && fet__tensors_count(t) == 1)
        e = fet__tensors_at(t, 0);
    if (!e)
        st = FET_FAIL(FET_E_DATA, "%s: it holds %d arrays and none is named x", fet__show(path), fet__tensors_count(t));
    else
        st = take(out, e, path, height, width, channels);
done:
    fet__tensors_close(t);
    return st;
}
