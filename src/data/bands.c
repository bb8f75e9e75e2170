/* Pictures of any number of channels (satellite bands): their names and their random views. Who reads the files is told by the caller;
 * photographs are preprocess.c's. */
#include "data/data.h"

#include <string.h>
#include <strings.h>

bool fet__bands_name(const char *name)
{
    const char *dot = strrchr(name, '.');

    return dot && (strcasecmp(dot, ".npz") == 0 || strcasecmp(dot, ".npy") == 0);
}

/* ---- views -------------------------------------------------------------------------------------------------------------- */

/* The box brought to full size, bilinearly, between centres of cells. */
static void stretch(float *out, const float *in, const int box[4], int height, int width, int channels)
{
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            double fy = (y + 0.5) * box[2] / height - 0.5, fx = (x + 0.5) * box[3] / width - 0.5;
            int y0 = fy < 0 ? 0 : (int)fy, x0 = fx < 0 ? 0 : (int)fx;
            int y1 = y0 + 1 < box[2] ? y0 + 1 : y0, x1 = x0 + 1 < box[3] ? x0 + 1 : x0;
            double ay = fy < 0 ? 0 : fy - y0, ax = fx < 0 ? 0 : fx - x0;
            const float *row0 = in + ((int64_t)(box[0] + y0) * width + box[1]) * channels;
            const float *row1 = in + ((int64_t)(box[0] + y1) * width + box[1]) * channels;
            for (int c = 0; c < channels; c++) {
                double top = (1 - ax) * (double)row0[x0 * channels + c] + ax * (double)row0[x1 * channels + c];
                double low = (1 - ax) * (double)row1[x0 * channels + c] + ax * (double)row1[x1 * channels + c];
                out[((int64_t)y * width + x) * channels + c] = (float)((1 - ay) * top + ay * low);
            }
        }
}

static void swap_cells(float *a, float *b, int channels)
{
    for (int c = 0; c < channels; c++) {
        float t = a[c];
        a[c] = b[c];
        b[c] = t;
    }
}

static void turn_over(float *x, int height, int width, int channels, bool columns, bool rows)
{
    for (int y = 0; columns && y < height; y++)
        for (int i = 0; i < width / 2; i++)
            swap_cells(x + ((int64_t)y * width + i) * channels, x + ((int64_t)y * width + width - 1 - i) * channels,
                       channels);
    for (int y = 0; rows && y < height / 2; y++)
        for (int i = 0; i < width; i++)
            swap_cells(x + ((int64_t)y * width + i) * channels, x + ((int64_t)(height - 1 - y) * width + i) * channels,
                       channels);
}

void fet__bands_view(float *out, const float *in, int height, int width, int channels, const double scale[2],
                     fet__rng *r)
{
    static const double ratio[2] = {0.75, 4.0 / 3};
    int64_t values = (int64_t)height * width * channels;
    bool columns, rows;
    int box[4];

    fet__crop_draw(box, r, height, width, scale, ratio);
    stretch(out, in, box, height, width, channels);
    columns = fet__rng_uniform(r, 0, 1) < 0.5;
    rows = fet__rng_uniform(r, 0, 1) < 0.5;
    turn_over(out, height, width, channels, columns, rows);
    for (int64_t i = 0; i < values; i++)
        out[i] += (float)(0.1 * fet__rng_normal(r));
}
