/* mona.resize_pool: bilinear and nearest resizing and adaptive average pooling of maps, forward and backward. */
#include "exec/exec.h"
#include "nn/nn.h"
#include "parity/parity.h"

#include <string.h>

typedef fet__node *maker(fet__build *b, fet__node *x, int h, int w);

static fet__node *bilinear(fet__build *b, fet__node *x, int h, int w)
{
    return fet__resize(b->g, x, h, w, false, false);
}

/* One map: y = make(x), and the gradient of sum(y dy); goldens are [B, C, H, W]. */
typedef struct piece {
    const char *x, *dy, *y, *dx;
    maker *make;
} piece;

static fet_status build(parity_case *c, const piece *k, fet_dtype type, fet__graph *g, fet__program **out)
{
    static const int to_maps[4] = {0, 2, 3, 1}, to_planes[4] = {0, 3, 1, 2};
    fet__program_options po = {.reference = c->reference};
    const fet__entry *ex = fet__tensors_find(c->t, k->x), *ey = fet__tensors_find(c->t, k->dy);
    fet__build b = {.g = g, .dtype = type};
    fet__node *x, *dy, *y, *grad;
    fet_status st;

    if (!ex || !ey || ex->shape.rank != 4 || ey->shape.rank != 4)
        return FET_FAIL(FET_E_FORMAT, "%s or %s is absent or no set of maps", k->x, k->dy);
    x = fet__input(g, "x", type, ex->shape);
    dy = fet__input(g, "dy", type, ey->shape);
    y = k->make(&b, fet__transpose(g, x, to_maps), (int)ey->shape.dim[2], (int)ey->shape.dim[3]);
    y = fet__transpose(g, y, to_planes);
    fet__output(g, "y", y);
    FET_TRY(fet__gradient(g, fet__sum_all(g, fet__mul(g, y, dy)), &x, 1, false, &grad));
    fet__output(g, "dx", grad);
    st = fet__program_create(out, g, &po);
done:
    return st;
}

static fet_status feed(const parity_case *c, fet__program *p, const char *input, const char *name, fet_dtype type)
{
    double *values = NULL;
    int64_t count;
    fet_status st;

    FET_TRY(parity_doubles(c, name, &values, &count));
    fet__convert(fet__program_input(p, input), type, values, FET_F64, count);
done:
    fet__free(values);
    return st;
}

static fet_status check(parity_case *c, const piece *k)
{
    fet_dtype type = c->reference ? FET_F64 : FET_F32;
    const fet__entry *ey = fet__tensors_find(c->t, k->y), *ex = fet__tensors_find(c->t, k->dx);
    fet__program *p = NULL;
    fet__graph *g = NULL;
    fet_status st;

    if (!ex || !ey)
        return FET_FAIL(FET_E_FORMAT, "%s or %s is absent", k->y, k->dx);
    FET_TRY(fet__graph_create(&g));
    FET_TRY(build(c, k, type, g, &p));
    FET_TRY(feed(c, p, "x", k->x, type));
    FET_TRY(feed(c, p, "dy", k->dy, type));
    FET_TRY(fet__program_run(p));
    /* The largest case adds 333 numbers an element; the golden did so in float32, 1.03e-6 away from what double gives. */
    FET_TRY(parity_compare(c, k->y, fet__program_output(p, "y"), type, fet__shape_count(&ey->shape), PARITY_MAX, 1e-6));
    st = parity_compare(c, k->dx, fet__program_output(p, "dx"), type, fet__shape_count(&ex->shape), PARITY_MAX, 2e-6);
done:
    fet__program_destroy(p);
    fet__graph_destroy(g);
    return st;
}

static fet_status check_all(parity_case *c, const char *input, const char *result, maker *make)
{
    char x[48], dy[48], y[48], dx[48];
    fet_status st = FET_OK;

    for (int i = 0; st == FET_OK; i++) {
        snprintf(x, sizeof x, "in.%s.%d", input, i);
        snprintf(dy, sizeof dy, "in.%s.dy.%d", input, i);
        snprintf(y, sizeof y, "out.%s.%d", result, i);
        snprintf(dx, sizeof dx, "grad.%s.%d", result, i);
        if (!fet__tensors_find(c->t, x))
            break;
        st = check(c, &(piece){x, dy, y, dx, make});
    }
    return st;
}

fet_status parity_resize_pool(parity_case *c)
{
    fet_status st;

    FET_TRY(check_all(c, "resize", "resize", bilinear));
    FET_TRY(check_all(c, "resize", "nearest", fet__nn_resize_nearest));
    st = check_all(c, "pool", "pool", fet__nn_adaptive_pool);
done:
    return st;
}
