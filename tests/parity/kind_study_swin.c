/* quadranet.study_swin: the memory study's block of windowed attention, which pads after its roll. Its maps are [B, H, W, C]. */
#include "parity/net_case.h"

static const net_tolerance by_file[] = {
    {"out.", PARITY_MAX, 2e-5}, {"grad.", PARITY_MAX, 2e-5}, {"param.", PARITY_ABS, 0}, {0}};

/* The entry as tokens [B, H W, C]; grid becomes H and W. */
static fet__node *tokens_input(net_case *n, const char *entry, int grid[2])
{
    const fet__entry *e = fet__tensors_find(n->c->t, entry);

    if (!e || e->shape.rank != 4)
        return fet__graph_fail(n->b.g, FET_E_FORMAT, "the golden has no map %s", entry);
    grid[0] = (int)e->shape.dim[1];
    grid[1] = (int)e->shape.dim[2];
    return fet__reshape(n->b.g, fet__input(n->b.g, entry, n->type, e->shape),
                        FET_SHAPE(e->shape.dim[0], (int64_t)grid[0] * grid[1], e->shape.dim[3]));
}

static fet_status check_mask(net_case *n, const fet__windows *w)
{
    const fet__entry *e = fet__tensors_find(n->c->t, "param.attn_mask");
    fet__node *mask;

    if (!e)
        return FET_OK;
    mask = fet__nn_window_mask(&n->b, w);
    if (!mask || fet__shape_count(&mask->shape) != fet__shape_count(&e->shape))
        return FET_FAIL(FET_E_FORMAT, "the golden's mask is %s", fet__shape_text(&e->shape));
    net_output(n, "param.attn_mask", fet__reshape(n->b.g, mask, e->shape));
    return FET_OK;
}

fet_status parity_study_swin(parity_case *c)
{
    fet__windows w = {.clamp = true, .pad_last = true};
    fet__node *x, *y, *loss;
    net_case n = {0};
    fet_status st;

    if (sscanf(parity_text(c, "window", ""), "[%d", &w.window) != 1 ||
        sscanf(parity_text(c, "shift", ""), "[%d", &w.shift) != 1 || w.window < 1)
        return FET_FAIL(FET_E_FORMAT, "the golden names no window or shift");
    FET_TRY(net_open(&n, c, by_file));
    FET_TRY(net_begin(&n, FET__NORM_FROZEN, false));
    x = tokens_input(&n, "in.x", w.grid);
    y = fet__nn_window_block(&n.b, x, (int)parity_number(c, "heads", 1), &w, 0);
    FET_TRY(fet__graph_status(n.b.g));
    FET_TRY(check_mask(&n, &w));
    net_output(&n, "out.y", y);
    loss = fet__sum_all(n.b.g, fet__mul(n.b.g, y, tokens_input(&n, "in.grad_out", w.grid)));
    FET_TRY(net_want(&n, "grad.", 5));
    FET_TRY(net_run(&n, loss));
done:
    net_close(&n);
    return st;
}
