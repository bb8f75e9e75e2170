/* Lays an element-wise program out for the tile interpreter: merges axes, decides tiles and work units, gives registers their
 * places. See group.h for the terms, group_accept.c for what comes here. */
#include "kernel/x86/group.h"

#include <string.h>

#define SLOT (FET__TILE + FET__LINE_FLOATS) /* a line more than a tile: registers do not share cache sets */

/* ---- axes -------------------------------------------------------------------------------------------------- */

typedef struct axis {
    int64_t size;
    int64_t stride[FET__MAX_INPUTS + 1];
    bool gone;
} axis;

static void row_major(int64_t stride[FET__MAX_RANK], const fet__shape *s)
{
    int64_t step = 1;

    for (int i = s->rank - 1; i >= 0; i--) {
        stride[i] = s->dim[i] == 1 ? 0 : step;
        step *= s->dim[i];
    }
}

static bool mergeable(const axis *outer, const axis *inner, int inputs)
{
    if (outer->gone != inner->gone)
        return false;
    for (int i = 0; i <= inputs; i++)
        if (outer->stride[i] != inner->stride[i] * inner->size)
            return false;
    return true;
}

/* Axes of size 1 go, neighbours that every input walks alike become one. Returns how many are left. */
static int merge_axes(axis *out, const fet__group *g, const fet__problem *p)
{
    int64_t stride[FET__MAX_INPUTS + 1][FET__MAX_RANK] = {{0}};
    int count = 0;

    for (int i = 0; i < g->input_count; i++)
        row_major(stride[i], &p->input[i].shape);
    row_major(stride[g->input_count], &g->full);
    for (int x = 0; x < g->full.rank; x++) {
        axis a = {.size = g->full.dim[x], .gone = (g->reduce_axes >> x) & 1u};

        if (a.size == 1)
            continue;
        for (int i = 0; i <= g->input_count; i++)
            a.stride[i] = i < g->input_count && p->input[i].shape.rank == 0 ? 0 : stride[i][x];
        if (count > 0 && mergeable(&out[count - 1], &a, g->input_count)) {
            a.size *= out[count - 1].size;
            count--;
        }
        out[count++] = a;
    }
    return count;
}

static void take_axes(fet__group_plan *g, const axis *axes, int count)
{
    bool cols_gone = count > 0 && axes[count - 1].gone;

    g->cols = count > 0 ? axes[count - 1].size : 1;
    g->kept = g->gone = 1;
    for (int i = 0; i < g->input_count; i++)
        g->inner[i] = count > 0 && axes[count - 1].stride[i] != 0;
    for (int gone = 0; gone < 2; gone++)
        for (int x = 0; x + 1 < count; x++) {
            if (axes[x].gone != (gone == 1))
                continue;
            g->size[g->outer_axes] = axes[x].size;
            memcpy(g->stride[g->outer_axes], axes[x].stride, sizeof axes[x].stride);
            /* The iteration space's own stride stands last, whatever the number of inputs. */
            g->stride[g->outer_axes][FET__FLAT] = axes[x].stride[g->input_count];
            g->outer_axes++;
            g->kept_axes += gone == 0;
            *(gone ? &g->gone : &g->kept) *= axes[x].size;
        }
    g->mode = cols_gone ? FET__ROWS : g->gone > 1 ? FET__COLS : FET__MAP;
}

/* ---- tiles and units ----------------------------------------------------------------------------------------- */

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

bool fet__group_tiles_kept(const fet__group_plan *g)
{
    return g->mode == FET__MAP || (g->mode == FET__ROWS && g->gone == 1);
}

static void shape_tiles(fet__group_plan *g)
{
    int64_t rows = fet__group_tiles_kept(g) ? g->kept : g->gone;

    g->tile_rows = g->cols < FET__SHORT_ROW ? most(1, least(FET__TILE / g->cols, rows)) : 1;
    g->col_tiles = fet__ceil_div(g->cols, FET__TILE);
    g->tile_cols = fet__round_up(fet__ceil_div(g->cols, g->col_tiles), FET__LINE_FLOATS);
    g->col_tiles = fet__ceil_div(g->cols, g->tile_cols);
    if (g->col_tiles == 1)
        g->tile_cols = g->cols;
}

static void shape_units(fet__group_plan *g)
{
    int64_t tiles = fet__ceil_div(g->gone, g->tile_rows) * g->col_tiles, parts;

    g->chunks = 1;
    switch (g->mode) {
    case FET__MAP: g->units = fet__ceil_div(g->kept, g->tile_rows) * g->col_tiles; break;
    case FET__COLS:
        parts =
            least(fet__ceil_div(FET__UNITS, g->kept * g->col_tiles), fet__ceil_div(g->gone, FET__FLUSH * g->tile_rows));
        g->chunk = fet__round_up(fet__ceil_div(g->gone, parts), g->tile_rows);
        g->chunks = fet__ceil_div(g->gone, g->chunk);
        g->units = g->kept * g->chunks * g->col_tiles;
        break;
    case FET__ROWS:
        if (fet__group_tiles_kept(g) && g->tile_rows > 1) {
            g->units = fet__ceil_div(g->kept, g->tile_rows);
            break;
        }
        parts = least(fet__ceil_div(FET__UNITS, g->kept), fet__ceil_div(tiles, 4));
        g->chunk = fet__ceil_div(tiles, parts);
        g->chunks = fet__ceil_div(tiles, g->chunk);
        g->units = g->kept * g->chunks;
        break;
    }
}

/* Over the rows of a tile, does input i lie in one piece? (FET__FLAT: the iteration space itself.) */
static bool is_contiguous(const fet__group_plan *g, int i)
{
    bool kept = fet__group_tiles_kept(g);
    int64_t step = g->cols;

    for (int x = (kept ? g->kept_axes : g->outer_axes) - 1; x >= (kept ? 0 : g->kept_axes); x--) {
        if (g->stride[x][i] != step)
            return false;
        step *= g->size[x];
    }
    return true;
}

static bool is_fixed(const fet__group_plan *g, int i)
{
    for (int x = 0; x < g->outer_axes; x++)
        if (g->stride[x][i] != 0)
            return false;
    return true;
}

static void choose_feeds(fet__group_plan *g, const fet__group *program, const fet__problem *p)
{
    for (int i = 0; i < g->input_count; i++) {
        if (g->tile_rows == 1)
            g->feed[i] = g->inner[i] ? FET__FEED_PLACE : FET__FEED_SPLAT;
        else if (is_fixed(g, i))
            g->feed[i] = g->inner[i] ? FET__FEED_PATTERN : FET__FEED_SPLAT;
        else
            g->feed[i] = g->inner[i] && is_contiguous(g, i) ? FET__FEED_PLACE : FET__FEED_COPY;
        g->splat[i] = g->feed[i] == FET__FEED_SPLAT;
        g->full[i] = fet__shape_count(&p->input[i].shape) == fet__shape_count(&program->full);
    }
    g->contiguous = g->tile_rows == 1 || is_contiguous(g, FET__FLAT);
}

/* Inputs worth asking for ahead of time: programs of one instruction run at the pace of memory as they are. */
static void choose_streams(fet__group_plan *g)
{
    for (int i = 0; i < g->input_count && g->code_count > 1; i++) {
        if (g->feed[i] != FET__FEED_PLACE || is_fixed(g, i) != (g->outer_axes == 0))
            continue;
        g->ahead[i] = g->tile_rows * g->tile_cols;
        if (g->mode == FET__COLS)
            g->ahead[i] = g->tile_rows * g->stride[g->outer_axes - 1][i];
        g->stream[g->stream_count++] = i;
    }
}

/* ---- instructions -------------------------------------------------------------------------------------------- */

static void take_attributes(fet__code *c, const fet__instr *s, const fet__problem *p, int inputs)
{
    switch (s->op) {
    case FET__OP_POW_INT: c->n = s->attr.power.n; break;
    case FET__OP_COMPARE: c->n = s->attr.compare.relation; break;
    case FET__OP_FILL: c->value = (float)s->attr.fill.value; break;
    case FET__OP_CAST: c->n = s->a < inputs && p->input[s->a].dtype == FET_I32; break;
    case FET__OP_RANDOM:
        c->seed = s->attr.random.seed;
        c->stream = s->attr.random.stream;
        break;
    default: break;
    }
}

static bool is_copy(const fet__code *c)
{
    return c->op == FET__OP_STOP_GRADIENT || (c->op == FET__OP_CAST && !c->n);
}

static int16_t follow(const int16_t *same, int16_t r)
{
    return (int16_t)(r < 0 ? -1 : same[r]);
}

/* Copies are left out: their readers read the original. */
static void take_program(fet__group_plan *g, const fet__group *program, const fet__problem *p)
{
    int16_t same[FET__REGISTERS];

    for (int r = 0; r < g->input_count; r++)
        same[r] = (int16_t)r;
    for (int i = 0; i < program->instr_count; i++) {
        const fet__instr *s = &program->instr[i];
        int16_t out = (int16_t)(g->input_count + i);
        fet__code c = {.op = (uint8_t)s->op,
                       .out = out,
                       .a = follow(same, s->a),
                       .b = follow(same, s->b),
                       .c = follow(same, s->c)};

        take_attributes(&c, s, p, g->input_count);
        same[out] = is_copy(&c) ? c.a : out;
        if (!is_copy(&c))
            g->code[g->code_count++] = c;
    }
    g->result = same[g->input_count + program->instr_count - 1];
}

/* The last instruction makes the result where one must be written or where it would be a single value. */
static void settle_result(fet__group_plan *g, int next)
{
    bool input = g->result < g->input_count, last;

    last = g->code_count > 0 && g->code[g->code_count - 1].out == g->result;
    if (g->mode == FET__MAP ? !last : input && g->splat[g->result]) {
        g->code[g->code_count++] =
            (fet__code){.op = FET__OP_STOP_GRADIENT, .a = (int16_t)g->result, .b = -1, .c = -1, .out = (int16_t)next};
        g->result = next;
    }
}

static bool is_repeated(const fet__group_plan *g, const fet__code *c)
{
    const int16_t operand[3] = {c->a, c->b, c->c};

    if (c->out == g->result || c->op == FET__OP_RANDOM)
        return false;
    for (int i = 0; i < 3; i++)
        if (operand[i] >= 0 && !g->splat[operand[i]])
            return false;
    return true;
}

static void free_operands(const fet__group_plan *g, int at, const int *last_use, int *slot_of, bool *busy)
{
    const int16_t operand[3] = {g->code[at].a, g->code[at].b, g->code[at].c};

    for (int i = 0; i < 3; i++)
        if (operand[i] >= 0 && last_use[operand[i]] == at && slot_of[operand[i]] >= 0)
            busy[slot_of[operand[i]]] = false;
}

/* Instructions read each vector before they write it, so a result may take the place of an operand that dies. */
static int64_t place_results(fet__group_plan *g, int64_t at)
{
    int last_use[FET__REGISTERS] = {0}, slot_of[FET__REGISTERS], slots = 0;
    bool busy[FET__REGISTERS] = {false};

    for (int r = 0; r < FET__REGISTERS; r++)
        slot_of[r] = -1;
    for (int i = 0; i < g->code_count; i++)
        for (int x = 0; x < 3; x++) {
            int16_t r = x == 0 ? g->code[i].a : x == 1 ? g->code[i].b : g->code[i].c;

            if (r >= 0)
                last_use[r] = i;
        }
    last_use[g->result] = FET__GROUP_INSTRS + 1;
    for (int i = 0; i < g->code_count; i++) {
        fet__code *c = &g->code[i];
        int s = 0;

        c->splat = g->splat[c->out] = is_repeated(g, c);
        free_operands(g, i, last_use, slot_of, busy);
        if (c->splat)
            continue;
        while (busy[s])
            s++;
        busy[s] = true;
        slot_of[c->out] = s;
        slots = s + 1 > slots ? s + 1 : slots;
    }
    for (int i = 0; i < g->code_count; i++) {
        int16_t r = g->code[i].out;

        if (g->splat[r]) {
            g->place[r] = at;
            at += FET__LINE_FLOATS;
        }
    }
    for (int r = 0; r < FET__REGISTERS; r++)
        if (slot_of[r] >= 0)
            g->place[r] = at + (int64_t)slot_of[r] * SLOT;
    return at + (int64_t)slots * SLOT;
}

static void place_registers(fet__group_plan *g)
{
    int64_t at = 0;

    for (int i = 0; i < g->input_count; i++) {
        bool whole = g->feed[i] == FET__FEED_PATTERN || g->feed[i] == FET__FEED_COPY;

        g->place[i] = at;
        at += whole ? SLOT : FET__LINE_FLOATS;
    }
    at = place_results(g, at);
    g->sums = at;
    if (g->mode == FET__COLS)
        at += 3 * FET__TILE;
    g->slice = at * (int64_t)sizeof(float);
}

/* ---- the row's functions --------------------------------------------------------------------------------------- */

static void size_scratch(fet__prepared *k, fet__group_plan *g)
{
    int threads = k->problem.threads > 1 ? k->problem.threads : 1;
    int64_t results = g->kept * g->chunks * (g->mode == FET__COLS ? g->cols : 1);

    g->partial = g->slice * threads;
    k->scratch =
        (size_t)(g->partial + (g->chunks > 1 ? fet__round_up(results * (int64_t)sizeof(double), FET__LINE) : 0));
    for (int i = 0; i < g->input_count; i++)
        if (g->mode == FET__MAP && g->full[i])
            k->overlay |= 1u << i;
}

fet_status fet__group_prepare(fet__prepared *k)
{
    const fet__problem *p = &k->problem;
    fet__group single = {0};
    const fet__group *program = p->op == FET__OP_GROUP ? p->group : &single;
    fet__group_plan *g;
    axis axes[FET__MAX_RANK];

    if (p->op != FET__OP_GROUP)
        fet__group_single(&single, p);
    g = fet__alloc(1, sizeof *g);
    if (!g)
        return FET_E_NOMEM;
    k->state = g;
    g->largest = p->op == FET__OP_REDUCE_MAX;
    g->count = fet__shape_count(&program->full);
    g->results = fet__shape_count(&p->output.shape);
    g->input_count = program->input_count;
    if (g->count == 0)
        return FET_OK;
    take_axes(g, axes, merge_axes(axes, program, p));
    shape_tiles(g);
    shape_units(g);
    choose_feeds(g, program, p);
    take_program(g, program, p);
    settle_result(g, g->input_count + program->instr_count);
    choose_streams(g);
    place_registers(g);
    size_scratch(k, g);
    return FET_OK;
}
