/* Attention within windows of a token grid (Swin): where each token goes, which tokens see each other, the bias by relative position.
 * Only moves, a table read and the attention operator; what a block does around it is the architecture's. */
#include "nn/nn.h"

#include <math.h>

#define MASKED (-100.0) /* not -infinity: what the published weights were trained with */

/* Rows (axis 0) or columns of a window, and how far it is shifted. */
static int side_of(const fet__windows *w, int axis)
{
    return w->clamp && w->grid[axis] < w->window ? w->grid[axis] : w->window;
}

static int shift_of(const fet__windows *w, int axis)
{
    return w->clamp && w->grid[axis] <= w->window ? 0 : w->shift;
}

static int slots_of(const fet__windows *w)
{
    return side_of(w, 0) * side_of(w, 1);
}

static bool is_shifted(const fet__windows *w)
{
    return shift_of(w, 0) > 0 || shift_of(w, 1) > 0;
}

/* Rows and columns of windows. */
static void window_grid(const fet__windows *w, int out[2])
{
    for (int i = 0; i < 2; i++)
        out[i] = (w->grid[i] + side_of(w, i) - 1) / side_of(w, i);
}

int fet__windows_count(const fet__windows *w)
{
    int n[2];

    window_grid(w, n);
    return n[0] * n[1];
}

/* Row and column, on the padded and shifted grid, of slot `slot` of window `window`. */
static void locate(const fet__windows *w, int window, int slot, int at[2])
{
    int n[2];

    window_grid(w, n);
    at[0] = window / n[1] * side_of(w, 0) + slot / side_of(w, 1);
    at[1] = window % n[1] * side_of(w, 1) + slot % side_of(w, 1);
}

void fet__windows_tokens(const fet__windows *w, int32_t *out)
{
    int n[2], slots = slots_of(w), at[2];

    window_grid(w, n);
    for (int i = 0; i < n[0] * n[1] * slots; i++) {
        locate(w, i / slots, i % slots, at);
        for (int k = 0; k < 2; k++) {
            int size = w->pad_last ? w->grid[k] : n[k] * side_of(w, k);
            at[k] = at[k] < size ? (at[k] + shift_of(w, k)) % size : size;
        }
        out[i] = at[0] < w->grid[0] && at[1] < w->grid[1] ? at[0] * w->grid[1] + at[1] : -1;
    }
}

/* 0, 1, 2: before the last window, in it but not rolled round, rolled round; an axis that is not shifted is one region. */
static int part(const fet__windows *w, int axis, int at, int size)
{
    if (shift_of(w, axis) == 0)
        return 0;
    return at < size - side_of(w, axis) ? 0 : at < size - shift_of(w, axis) ? 1 : 2;
}

void fet__windows_regions(const fet__windows *w, int32_t *out)
{
    int n[2], slots = slots_of(w), at[2];

    window_grid(w, n);
    for (int i = 0; i < n[0] * n[1] * slots; i++) {
        locate(w, i / slots, i % slots, at);
        out[i] = 3 * part(w, 0, at[0], n[0] * side_of(w, 0)) + part(w, 1, at[1], n[1] * side_of(w, 1));
    }
}

/* Of windows of `rows` x `columns`. */
static void relative_index(int rows, int columns, int32_t *out)
{
    int slots = rows * columns, side = 2 * columns - 1;

    for (int i = 0; i < slots; i++)
        for (int j = 0; j < slots; j++)
            out[i * slots + j] =
                (i / columns - j / columns + rows - 1) * side + i % columns - j % columns + columns - 1;
}

void fet__relative_index(int window, int32_t *out)
{
    relative_index(window, window, out);
}

/* ---- moves ----------------------------------------------------------------------------------------------------- */

static const int window_order[6] = {0, 1, 3, 2, 4, 5}; /* its own inverse */

static fet__node *roll(fet__build *b, fet__node *x, const fet__windows *w, int direction)
{
    for (int i = 0; i < 2; i++)
        x = fet__roll(b->g, x, i + 1, (int64_t)direction * shift_of(w, i));
    return x;
}

fet__node *fet__nn_windows(fet__build *b, fet__node *x, const fet__windows *w)
{
    const int64_t none[4] = {0};
    int64_t batch, c, high[4] = {0}, rows = side_of(w, 0), columns = side_of(w, 1);
    int n[2];

    if (!x)
        return NULL;
    batch = x->shape.dim[0];
    c = x->shape.dim[2];
    window_grid(w, n);
    for (int i = 0; i < 2; i++)
        high[i + 1] = (int64_t)n[i] * side_of(w, i) - w->grid[i];
    x = fet__reshape(b->g, x, FET_SHAPE(batch, w->grid[0], w->grid[1], c));
    if (w->pad_last)
        x = roll(b, x, w, -1);
    x = fet__pad(b->g, x, none, high);
    if (!w->pad_last)
        x = roll(b, x, w, -1);
    x = fet__reshape(b->g, x, FET_SHAPE(batch, n[0], rows, n[1], columns, c));
    return fet__reshape(b->g, fet__transpose(b->g, x, window_order), FET_SHAPE(batch * n[0] * n[1], rows * columns, c));
}

static fet__node *crop(fet__build *b, fet__node *y, const fet__windows *w)
{
    for (int i = 0; i < 2; i++)
        y = fet__slice(b->g, y, i + 1, 0, w->grid[i]);
    return y;
}

fet__node *fet__nn_unwindows(fet__build *b, fet__node *y, const fet__windows *w)
{
    int64_t batch, c, rows = side_of(w, 0), columns = side_of(w, 1);
    int n[2];

    if (!y)
        return NULL;
    window_grid(w, n);
    batch = y->shape.dim[0] / (n[0] * n[1]);
    c = y->shape.dim[2];
    y = fet__reshape(b->g, y, FET_SHAPE(batch, n[0], n[1], rows, columns, c));
    y = fet__reshape(b->g, fet__transpose(b->g, y, window_order), FET_SHAPE(batch, n[0] * rows, n[1] * columns, c));
    y = w->pad_last ? roll(b, crop(b, y, w), w, 1) : crop(b, roll(b, y, w, 1), w);
    return fet__reshape(b->g, y, FET_SHAPE(batch, (int64_t)w->grid[0] * w->grid[1], c));
}

/* ---- bias -------------------------------------------------------------------------------------------------------- */

static fet__node *int_const(fet__build *b, fet__shape shape, void (*fill)(const fet__windows *, int32_t *),
                            const fet__windows *w)
{
    int32_t *values = fet__alloc((size_t)fet__shape_count(&shape), sizeof *values);
    fet__node *x;

    if (!values)
        return fet__graph_fail(b->g, FET_E_NOMEM, "no memory for an index of %s", fet__shape_text(&shape));
    fill(w, values);
    x = fet__const(b->g, FET_I32, shape, values);
    fet__free(values);
    return x;
}

static void fill_relative(const fet__windows *w, int32_t *out)
{
    relative_index(side_of(w, 0), side_of(w, 1), out);
}

fet__node *fet__nn_window_mask(fet__build *b, const fet__windows *w)
{
    int64_t count = fet__windows_count(w), t = slots_of(w);
    fet__node *region = int_const(b, FET_SHAPE(count * t), fet__windows_regions, w);

    region = fet__cast(b->g, region, b->dtype);
    return fet__scale(b->g,
                      fet__compare(b->g, FET__NE, fet__reshape(b->g, region, FET_SHAPE(count, 1, t, 1)),
                                   fet__reshape(b->g, region, FET_SHAPE(count, 1, 1, t))),
                      MASKED);
}

/* Side of the square whose rows the stored table has, when it is one of another window; else `side`. */
static int64_t stored_side(const fet__build *b, const char *name, int heads, int64_t side)
{
    char full[320];
    const fet__param *p;
    int64_t own;

    snprintf(full, sizeof full, "%s.%s", b->prefix, name);
    p = fet__params_find(b->store, full);
    if (!p || p->shape.rank != 2 || p->shape.dim[1] != heads)
        return side;
    own = llround(sqrt((double)p->shape.dim[0]));
    return own * own == p->shape.dim[0] && own % 2 == 1 ? own : side;
}

/* Only the table of a square window is ever stored for another window. */
static fet__node *table(fet__build *b, int heads, const fet__windows *w)
{
    static const char name[] = "relative_position_bias_table";
    int64_t side[2] = {2 * side_of(w, 0) - 1, 2 * side_of(w, 1) - 1}, own;
    const fet__init init = {FET__INIT_TRUNC_NORMAL, 0.02};
    fet__node *x;

    if (side[0] != side[1])
        return fet__parameter(b, name, FET_SHAPE(side[0] * side[1], heads), init);
    own = stored_side(b, name, heads, side[0]);
    x = fet__parameter(b, name, FET_SHAPE(own * own, heads), init);
    if (own == side[0])
        return x;
    x = fet__reshape(b->g, x, FET_SHAPE(1, own, own, heads));
    return fet__reshape(b->g, fet__resize(b->g, x, side[0], side[0], true, false), FET_SHAPE(side[0] * side[0], heads));
}

fet__node *fet__nn_relative_bias(fet__build *b, int heads, const fet__windows *w)
{
    static const int heads_first[3] = {2, 0, 1};
    int64_t t = slots_of(w);
    fet__node *x = table(b, heads, w);

    x = fet__gather(b->g, x, int_const(b, FET_SHAPE(t, t), fill_relative, w));
    x = fet__reshape(b->g, fet__transpose(b->g, x, heads_first), FET_SHAPE(1, heads, t, t));
    return is_shifted(w) ? fet__add(b->g, x, fet__nn_window_mask(b, w)) : x;
}

/* ---- attention --------------------------------------------------------------------------------------------------- */

fet__node *fet__nn_window_attention(fet__build *b, const char *name, fet__node *x, const fet__attention_options *o,
                                    const fet__windows *w)
{
    fet__linear_options qkv = {
        .no_bias = !o->qkv_bias, .weight_init = o->weight_init, .part_count = 3, .part = {"q", "k", "v"}};
    fet__linear_options proj = {.weight_init = o->weight_init};
    fet__node *y;
    int64_t c;

    if (!x)
        return NULL;
    c = x->shape.dim[2];
    if (c % o->heads != 0 || x->shape.dim[1] != (int64_t)w->grid[0] * w->grid[1])
        return fet__graph_fail(b->g, FET_E_ARG, "%s cannot be %d heads over a grid of %dx%d",
                               fet__shape_text(&x->shape), o->heads, w->grid[0], w->grid[1]);
    fet__enter(b, "%s", name);
    y = fet__nn_linear(b, "qkv", fet__nn_windows(b, x, w), 3 * c, &qkv);
    y = fet__attention(b->g, y, fet__nn_relative_bias(b, o->heads, w), o->heads,
                       1.0 / sqrt((double)c / (double)o->heads));
    y = fet__nn_dropout(b, fet__nn_linear(b, "proj", y, c, &proj), b->dropout);
    y = fet__nn_unwindows(b, y, w);
    fet__leave(b);
    return y;
}
