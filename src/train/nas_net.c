/* Candidates of a search as graph: the active block of each position, and what the others would have given, so that the loss's slope
 * along every gate is a sum over one product (methods/quadranet.md 9.3, without anything kept for the candidates that are not active). */
#include "train/nas.h"

int fet__nas_kernel(int candidate)
{
    return candidate < FET__NAS_IDENTITY ? 3 + 2 * (candidate / 2) : 0;
}

int fet__nas_expansion(int candidate)
{
    return candidate < FET__NAS_IDENTITY ? 2 + 2 * (candidate % 2) : 0;
}

fet_status fet__nas_begin(fet__nas_net *n, fet__graph *g)
{
    size_t count = (size_t)n->positions;

    n->built = 0;
    n->mixed = fet__arena_alloc(fet__graph_arena(g), count, sizeof *n->mixed);
    n->branch = fet__arena_alloc(fet__graph_arena(g), count * FET__NAS_SPACE, sizeof *n->branch);
    return n->mixed && n->branch ? FET_OK : FET_E_NOMEM;
}

static fet__node *candidate(const fet__nas_net *n, fet__build *b, fet__node *x, int j, const int grid[2],
                            double drop_path)
{
    fet__quadra_block o = {.kernel = fet__nas_kernel(j),
                           .expand = fet__nas_expansion(j),
                           .scale = n->scale,
                           .drop_path = drop_path,
                           .grid = {grid[0], grid[1]}};
    fet__node *y;

    if (j == FET__NAS_IDENTITY)
        return x;
    o.mixer = n->plain ? FET__MIX_CONV : FET__MIX_QUADRATIC;
    fet__enter(b, "pos.%d.cand.%d", n->built, j);
    y = fet__nn_quadra_block(b, x, &o);
    fet__leave(b);
    return y;
}

static bool takes_part(fet__nas_choice c, int j)
{
    return c.other < 0 || j == c.active || j == c.other;
}

fet__node *fet__nas_position(fet__nas_net *n, fet__build *b, fet__node *x, const int grid[2], double drop_path)
{
    fet__nas_choice c = n->choice[n->built];
    fet__node *y = candidate(n, b, x, c.active, grid, drop_path), *o;

    if (!x)
        return NULL;
    /* The slope is taken at a node of this position's own, also where the active candidate is the identity. */
    if (n->others && y == x)
        y = fet__add(b->g, x, fet__fill(b->g, x->dtype, x->shape, 0));
    for (int j = 0; n->others && j < FET__NAS_SPACE; j++) {
        if (j == FET__NAS_IDENTITY || !takes_part(c, j))
            continue;
        o = j == c.active ? y : candidate(n, b, x, j, grid, drop_path);
        n->branch[n->built * FET__NAS_SPACE + j] = fet__sub(b->g, o, x);
    }
    n->mixed[n->built++] = y;
    return y;
}

fet__node *fet__nas_slopes(fet__nas_net *n, fet__graph *g, fet__node *loss)
{
    fet__node **slope = fet__arena_alloc(fet__graph_arena(g), (size_t)n->positions, sizeof *slope), *rows = NULL;

    if (!slope)
        return fet__graph_fail(g, FET_E_NOMEM, "no memory for the slopes of %d positions", n->positions);
    if (fet__gradient(g, loss, n->mixed, n->positions, false, slope) != FET_OK)
        return NULL;
    for (int i = 0; i < n->positions; i++) {
        fet__node *part[FET__NAS_SPACE], *row;

        for (int j = 0; j < FET__NAS_SPACE; j++) {
            fet__node *o = n->branch[i * FET__NAS_SPACE + j];

            part[j] = o ? fet__reshape(g, fet__sum_all(g, fet__mul(g, slope[i], o)), FET_SHAPE(1, 1))
                        : fet__fill(g, loss->dtype, FET_SHAPE(1, 1), 0);
        }
        row = fet__concat(g, part, FET__NAS_SPACE, 1);
        rows = rows ? fet__concat(g, (fet__node *[]){rows, row}, 2, 0) : row;
    }
    return rows;
}
