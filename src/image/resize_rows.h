/* The inner sums of the 8-bit resize: weights as integers, and two kernels that add up weighted bytes. */
#ifndef FET_IMAGE_RESIZE_ROWS_H
#define FET_IMAGE_RESIZE_ROWS_H

#include "image/image_int.h"

/* Bytes behind the last pixel of a row that fet__resize_row_pair may read (their weight is 0). */
#define FET__ROW_SLACK 8

/* fet__taps with weights of 22 fractional bits, split for the 16-bit multipliers: w = high * 2^12 + low, low in
 * [0, 4096). Taps 2j and 2j + 1 of an output form pair j: pair[2j] holds the two high parts, pair[2j + 1] the two
 * low ones, the first tap in the lower half. */
typedef struct fet__row_taps {
    int count, pairs; /* outputs; pairs per output in the table */
    int *first, *used;
    uint32_t *pair; /* [count * pairs * 2] */
} fet__row_taps;

fet_status fet__row_taps_build(fet__row_taps *out, int inputs, int outputs, int begin, int count, fet__filter f);
void fet__row_taps_fini(fet__row_taps *t);
/* Two rows of RGB pixels at once; both `row`s have FET__ROW_SLACK readable bytes behind them. */
void fet__resize_row_pair(uint8_t *const to[2], const uint8_t *const row[2], const fet__row_taps *t);
/* Output row `y` of `bytes` bytes out of rows that are `stride` bytes apart. */
void fet__resize_column(uint8_t *to, const uint8_t *rows, size_t stride, size_t bytes, const fet__row_taps *t, int y);

#endif
