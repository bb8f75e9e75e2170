/* Quadratic depthwise convolution: how it is cut, by the shape alone. It is a straight pass of depthwise.h whose three filters meet
 * a packed tile one after the other, so that the map is read once and only the result is written:
 *
 *   filters [line][3][tap][16], then biases [line][3][16]
 *
 * A strip of outputs sums a, keeps it, sums b, and sums c on top of their product. */
#ifndef FET_X86_QUADRATIC_H
#define FET_X86_QUADRATIC_H

#include "kernel/x86/depthwise.h"

#define FET__QUADRATIC_PARTS 3

/* Floats of a line's filters and biases. */
static inline int64_t fet__quadratic_line(const fet__depthwise_plan *d)
{
    return FET__QUADRATIC_PARTS * (d->tap_count + 1) * FET__LINE_FLOATS;
}

#endif
