/* How an element-wise program is laid out for the tile interpreter. group_plan.c makes it once; group_body.h runs it.
 *
 * Axes of the iteration space that no input tells apart are merged. What is left is rows x cols: cols is the last axis, the others
 * are ordered as kept axes, then summed axes, so a row is a pair (kept index, gone index). A tile is
 *     - a piece of one row, at most FET__TILE columns wide, when rows are long, or
 *     - several whole rows of one kept index (or of any, where each row is one result), when rows are shorter than FET__SHORT_ROW.
 * Registers of a tile: an input is read in place where it is contiguous over the tile; as one repeated vector (step 0) where it is
 * constant over the tile; else it is copied into a register. Results of repeated vectors are repeated vectors.
 *
 *   MAP    no sum: tiles are independent                          out[row, col]
 *   COLS   cols kept, rows summed: accumulator as wide as a tile   out[kept, col]
 *   ROWS   cols summed (and maybe rows)                            out[kept]
 *
 * Sums: within a tile or over FLUSH tiles in float lanes, above that in double. Work units depend on the shape alone; where a unit
 * is a part (chunk) of a sum, its double result goes to the shared scratch, and the chunks are added in order. */
#ifndef FET_X86_GROUP_H
#define FET_X86_GROUP_H

#include "kernel/x86/x86.h"

#define FET__TILE 1024
#define FET__SHORT_ROW 256
#define FET__FLUSH 32 /* tiles added in float before a sum goes to double */
#define FET__UNITS 64 /* work units that a sum is cut into when it has few results */
#define FET__REGISTERS (FET__MAX_INPUTS + FET__GROUP_INSTRS + 1)
#define FET__OUTER_MAX FET__MAX_RANK
#define FET__FLAT FET__MAX_INPUTS /* column of `stride` that belongs to the iteration space itself */

typedef enum { FET__MAP, FET__COLS, FET__ROWS } fet__group_mode;

typedef enum {
    FET__FEED_PLACE,   /* contiguous over the tile: read where it lies */
    FET__FEED_SPLAT,   /* one value over the tile */
    FET__FEED_PATTERN, /* short rows: the same row again and again, laid out once per thread */
    FET__FEED_COPY     /* short rows: copied row by row */
} fet__feed;

typedef struct fet__code {
    uint8_t op;      /* fet__op */
    bool splat;      /* every operand is one value per tile: one vector is computed */
    int16_t a, b, c; /* registers */
    int16_t out;     /* register */
    float value;     /* FILL */
    int32_t n;       /* POW_INT exponent; COMPARE relation; CAST: the operand is i32 */
    uint64_t seed;   /* RANDOM */
    uint32_t stream;
} fet__code;

typedef struct fet__group_plan {
    fet__group_mode mode;
    bool largest;           /* reduce by maximum instead of sum */
    int64_t count, results; /* elements of the iteration space and of the output */
    int64_t cols;
    int kept_axes, outer_axes; /* outer axes: kept first */
    int64_t size[FET__OUTER_MAX];
    int64_t stride[FET__OUTER_MAX][FET__MAX_INPUTS + 1]; /* elements, per input and FET__FLAT */
    int64_t kept, gone;                                  /* products of the sizes */

    int64_t tile_rows, tile_cols; /* tile_rows > 1: short rows, tile_cols == cols */
    int64_t col_tiles;
    int64_t chunks; /* parts of each sum; COLS: of rows, ROWS: of the tile sequence */
    int64_t chunk;  /* rows (COLS) or tiles (ROWS) in a part */
    int64_t units;

    int input_count, code_count;
    fet__feed feed[FET__MAX_INPUTS];
    bool inner[FET__MAX_INPUTS]; /* the input varies along cols */
    bool full[FET__MAX_INPUTS];  /* the input has the iteration space's shape */
    bool contiguous;             /* the rows of a tile lie in one piece in the iteration space */
    fet__code code[FET__GROUP_INSTRS + 1];
    int result;                    /* register */
    int64_t place[FET__REGISTERS]; /* where a register lies in the thread's slice, in floats */
    bool splat[FET__REGISTERS];

    int stream_count; /* inputs that are read in place, tile after tile */
    int stream[FET__MAX_INPUTS];
    int64_t ahead[FET__MAX_INPUTS]; /* from a tile to the next, elements */

    int64_t sums;    /* accumulators in the slice: FET__TILE floats, then FET__TILE doubles; in floats */
    int64_t slice;   /* bytes of a thread's slice */
    int64_t partial; /* offset of the chunks' results in scratch, bytes */
} fet__group_plan;

/* The program of one instruction that a problem other than GROUP stands for (group_accept.c). */
void fet__group_single(fet__group *g, const fet__problem *p);
/* Tiles of several rows run over kept rows; else over summed rows. */
bool fet__group_tiles_kept(const fet__group_plan *g);

#endif
