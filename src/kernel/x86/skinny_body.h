/* Thin products over vec.h. Rows of `wide` are read in bands of BAND, each band from left to right, so that memory is
 * read once and nearly in order; a tile of `rank` x `width` vectors is summed over a band in registers and then added
 * to the sum. */
#include "kernel/x86/skinny.h"
#include "kernel/x86/vec.h"

enum { BAND = 32, REGISTERS = VL == 16 ? 16 : 8 /* accumulators of a tile */ };

INLINE vf load_part(const float *p, int n)
{
    return n == VL ? v_load(p) : v_loadn(p, n);
}

/* `last_count` lanes of the last vector count. rank and width are constants at every call. */
INLINE void tile(const fet__skinny *s, int64_t row, int64_t rows, int64_t part, int64_t column, const int rank,
                 const int width, int last_count)
{
    vf acc[REGISTERS];
    for (int i = 0; i < rank * width; i++)
        acc[i] = v_zero();
    for (int64_t k = row; k < row + rows; k++) {
        const float *thin = s->thin + k * s->rank + part, *wide = s->wide + k * s->columns + column;
        vf x[4];
        for (int j = 0; j < width; j++)
            x[j] = load_part(wide + j * VL, j == width - 1 ? last_count : VL);
        for (int r = 0; r < rank; r++) {
            vf t = v_set(thin[r]);
            for (int j = 0; j < width; j++)
                acc[r * width + j] = v_fma(t, x[j], acc[r * width + j]);
        }
    }
    for (int r = 0; r < rank; r++)
        for (int j = 0; j < width; j++) {
            float *sum = s->sum + (part + r) * s->columns + column + j * VL;
            int n = j == width - 1 ? last_count : VL;
            v_storen(sum, row == 0 ? acc[r * width + j] : v_add(load_part(sum, n), acc[r * width + j]), n);
        }
}

/* One band of rows for `rank` of the thin columns. */
INLINE void band(const fet__skinny *s, int64_t row, int64_t rows, int64_t part, int64_t first, int64_t last,
                 const int rank)
{
    const int fit = REGISTERS / rank, width = fit >= 4 ? 4 : fit >= 2 ? 2 : 1;
    int64_t column = first;
    for (; column + width * VL <= last; column += width * VL)
        tile(s, row, rows, part, column, rank, width, VL);
    for (; column < last; column += VL)
        tile(s, row, rows, part, column, rank, 1, last - column < VL ? (int)(last - column) : VL);
}

static void band_of(const fet__skinny *s, int64_t row, int64_t rows, int64_t part, int64_t first, int64_t last)
{
    int64_t rank = s->rank - part < REGISTERS ? s->rank - part : REGISTERS;
    switch (rank) {
#define CASE(n)                                                                                                        \
    case n: band(s, row, rows, part, first, last, n); break;
        /* clang-format off */
        CASE(1)
        CASE(2)
        CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8)
#if VL == 16
            CASE(9) CASE(10) CASE(11) CASE(12) CASE(13) CASE(14) CASE(15) CASE(16)
#endif
        /* clang-format on */
#undef CASE
    }
}

void FET__ISA(skinny)(const fet__skinny *s, int64_t first, int64_t last)
{
    for (int64_t row = 0; row < s->depth; row += BAND) {
        int64_t rows = s->depth - row < BAND ? s->depth - row : BAND;
        for (int64_t part = 0; part < s->rank; part += REGISTERS)
            band_of(s, row, rows, part, first, last);
    }
}
