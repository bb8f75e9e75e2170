/* Shapes: making, counting with overflow checks, comparing, printing. Strides do not exist here: every tensor is
 * contiguous and row-major. */
#include "tensor/tensor.h"

#include <inttypes.h>
#include <string.h>

#define TEXT_BUFFERS 8
#define TEXT_BYTES 192 /* eight sizes of 20 digits, separators and brackets */

/* A rank that does not fit gives rank -1, whose count is -1: callers that take ranks from files refuse it by that. */
fet__shape fet__shape_make(int rank, const int64_t *dim)
{
    fet__shape s = {.rank = rank};

    if (rank < 0 || rank > FET__MAX_RANK) {
        s.rank = -1;
        return s;
    }
    for (int i = 0; i < rank; i++)
        s.dim[i] = dim[i];
    return s;
}

fet__shape fet__shape_scalar(void)
{
    return (fet__shape){.rank = 0};
}

int64_t fet__shape_count(const fet__shape *s)
{
    int64_t count = 1;

    if (s->rank < 0 || s->rank > FET__MAX_RANK)
        return -1;
    for (int i = 0; i < s->rank; i++)
        if (s->dim[i] < 0 || __builtin_mul_overflow(count, s->dim[i], &count))
            return -1;
    return count;
}

bool fet__shape_equal(const fet__shape *a, const fet__shape *b)
{
    if (a->rank != b->rank)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i])
            return false;
    return true;
}

const char *fet__shape_text(const fet__shape *s)
{
    static _Thread_local char buffers[TEXT_BUFFERS][TEXT_BYTES];
    static _Thread_local unsigned next;
    char *out = buffers[next++ % TEXT_BUFFERS];
    size_t used = 1;

    if (s->rank < 0 || s->rank > FET__MAX_RANK) {
        snprintf(out, TEXT_BYTES, "[rank over %d]", FET__MAX_RANK);
        return out;
    }
    out[0] = '[';
    for (int i = 0; i < s->rank; i++)
        used += (size_t)snprintf(out + used, TEXT_BYTES - used, "%s%" PRId64, i ? ", " : "", s->dim[i]);
    memcpy(out + used, "]", 2);
    return out;
}
