/* Operations that replace each of a channel's 256 values by another, whatever its place: one table, then one look-up a
 * value. Autocontrast and equalize make their tables from the channel's histogram. */
#include "image/image_int.h"

#include <string.h>

#define CHANNELS 3

static size_t pixel_count(const fet__image *im)
{
    return (size_t)im->height * im->width;
}

static void look_up(fet__image *im, const uint8_t table[256])
{
    size_t count = pixel_count(im) * CHANNELS;

    for (size_t i = 0; i < count; i++)
        im->pixels[i] = table[im->pixels[i]];
}

void fet__levels_posterize(fet__image *im, int bits)
{
    uint8_t table[256];

    for (int v = 0; v < 256; v++)
        table[v] = (uint8_t)(v & ~(0xff >> bits));
    look_up(im, table);
}

void fet__levels_solarize(fet__image *im, int threshold)
{
    uint8_t table[256];

    for (int v = 0; v < 256; v++)
        table[v] = (uint8_t)(v < threshold ? v : 255 - v);
    look_up(im, table);
}

void fet__levels_solarize_add(fet__image *im, int added)
{
    uint8_t table[256];

    for (int v = 0; v < 256; v++) {
        int sum = v + added;

        table[v] = (uint8_t)(v >= 128 ? v : sum > 255 ? 255 : sum < 0 ? 0 : sum);
    }
    look_up(im, table);
}

void fet__levels_invert(fet__image *im)
{
    fet__levels_solarize(im, 0);
}

/* ---- from the histogram ---- */

static void histogram(int64_t count[256], const fet__image *im, int channel)
{
    size_t n = pixel_count(im);

    memset(count, 0, 256 * sizeof *count);
    for (size_t i = 0; i < n; i++)
        count[im->pixels[i * CHANNELS + (size_t)channel]]++;
}

static void look_up_channel(fet__image *im, int channel, const uint8_t table[256])
{
    size_t n = pixel_count(im);

    for (size_t i = 0; i < n; i++) {
        uint8_t *v = &im->pixels[i * CHANNELS + (size_t)channel];

        *v = table[*v];
    }
}

void fet__levels_autocontrast(fet__image *im)
{
    for (int c = 0; c < CHANNELS; c++) {
        int64_t count[256];
        uint8_t table[256];
        int low = 0, high = 255;

        histogram(count, im, c);
        while (low < 255 && count[low] == 0)
            low++;
        while (high > 0 && count[high] == 0)
            high--;
        if (high <= low)
            continue;
        for (int i = 0; i < 256; i++) {
            double k = 255.0 / (high - low), v = i * k - low * k;

            table[i] = v <= 0.0 ? 0 : v >= 255.0 ? 255 : (uint8_t)v;
        }
        look_up_channel(im, c, table);
    }
}

/* The step between two output levels, in pixels; 0: nothing to do. */
static int64_t equal_step(const int64_t count[256])
{
    int64_t sum = 0, last = 0;
    int used = 0;

    for (int i = 0; i < 256; i++) {
        if (count[i] == 0)
            continue;
        used++;
        sum += count[i];
        last = count[i];
    }
    return used < 2 ? 0 : (sum - last) / 255;
}

void fet__levels_equalize(fet__image *im)
{
    for (int c = 0; c < CHANNELS; c++) {
        int64_t count[256], step, n;
        uint8_t table[256];

        histogram(count, im, c);
        step = equal_step(count);
        if (step == 0)
            continue;
        n = step / 2;
        for (int i = 0; i < 256; i++) {
            table[i] = (uint8_t)(n / step > 255 ? 255 : n / step);
            n += count[i];
        }
        look_up_channel(im, c, table);
    }
}
