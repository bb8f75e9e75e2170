/* The probe of probe.h. */
#include "op/probe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STEP 3e-5
#define MOST_SAMPLES 10 /* elements of an input that are moved */
#define MOST_FEEDS 64

#define assert_ok(expr)                                                                                                \
    do {                                                                                                               \
        if ((expr) != FET_OK)                                                                                          \
            fail_msg("%s: %s", #expr, fet_error_message());                                                            \
    } while (0)

typedef struct feed {
    char name[24];
    char kind;
    int below;
    fet__node *node;
    bool moves; /* is differentiated by */
} feed;

typedef struct rig {
    const probe *p;
    fet__graph *g;
    fet__program *program;
    feed feed[MOST_FEEDS];
    int feeds, wrt_count;
    int wrt[PROBE_INPUTS + 1]; /* feeds that are differentiated by */
    int levels;                /* t0 .. t(levels) exist */
    bool reached[PROBE_LEVELS][PROBE_INPUTS + 1];
} rig;

/* ---- building ---- */

static feed *add_feed(rig *r, const char *name, char kind, int below, fet_dtype t, fet__shape shape)
{
    feed *f = &r->feed[r->feeds++];

    assert_true(r->feeds <= MOST_FEEDS);
    snprintf(f->name, sizeof f->name, "%s", name);
    f->kind = kind;
    f->below = below;
    f->node = fet__input(r->g, name, t, shape);
    f->moves = t == FET_F64 && kind != 'm' && kind != 's';
    return f;
}

static fet__shape read_shape(const char *s)
{
    fet__shape shape = {0};

    for (s = strchr(s, '[') + 1; *s != ']'; s += *s == ',') {
        char *end;

        shape.dim[shape.rank++] = strtoll(s, &end, 10);
        s = end;
    }
    return shape;
}

static int build_inputs(rig *r, fet__node **in)
{
    int count = 0;

    for (; count < PROBE_INPUTS && r->p->input[count]; count++) {
        const char *s = r->p->input[count];
        bool whole = *s == 'i' || *s == 'l';
        char name[32];
        feed *f;

        snprintf(name, sizeof name, "x%d", count);
        f = add_feed(r, name, *s, whole ? atoi(s + 1) : 0, whole ? FET_I32 : FET_F64, read_shape(s));
        in[count] = f->node;
        if (f->moves)
            r->wrt[r->wrt_count++] = r->feeds - 1;
    }
    return count;
}

/* t(k+1) from tk; NULL when no input has a derivative any more. */
static fet__node *next_level(rig *r, fet__node *t, int k)
{
    fet__node *wrt[PROBE_INPUTS + 1], *grad[PROBE_INPUTS + 1], *next = NULL;
    char name[64];

    for (int i = 0; i < r->wrt_count; i++)
        wrt[i] = r->feed[r->wrt[i]].node;
    assert_ok(fet__gradient(r->g, t, wrt, r->wrt_count, true, grad));
    for (int i = 0; i < r->wrt_count; i++) {
        fet__node *share;

        r->reached[k][i] = grad[i] != NULL;
        if (!grad[i])
            continue;
        assert_true(fet__shape_equal(&grad[i]->shape, &wrt[i]->shape));
        snprintf(name, sizeof name, "g%d_%d", k, i);
        fet__output(r->g, name, grad[i]);
        snprintf(name, sizeof name, "v%d_%d", k, i);
        share = fet__sum_all(r->g, fet__mul(r->g, grad[i], add_feed(r, name, 'f', 0, FET_F64, grad[i]->shape)->node));
        next = next ? fet__add(r->g, next, share) : share;
    }
    return next;
}

static void build(rig *r, const probe *p)
{
    int levels = p->levels ? p->levels : PROBE_LEVELS;
    fet__node *in[PROBE_INPUTS] = {NULL}, *y, *t;
    char name[64];

    r->p = p;
    assert_ok(fet__graph_create(&r->g));
    build_inputs(r, in);
    y = p->build(r->g, in, p->user);
    assert_ok(fet__graph_status(r->g));
    y = fet__cast(r->g, y, FET_F64);
    fet__output(r->g, "y", y);
    if (fet__op_rows[y->op].class_ == FET__CLASS_FUSED || fet__op_rows[y->op].class_ == FET__CLASS_FUSED_ELEMENT)
        fet__output(r->g, "low", fet__lower(r->g, y));
    t = fet__sum_all(r->g, fet__mul(r->g, y, add_feed(r, "c", 'f', 0, FET_F64, y->shape)->node));
    r->wrt[r->wrt_count++] = r->feeds - 1;
    for (r->levels = 0; t && r->levels <= levels; r->levels++) {
        snprintf(name, sizeof name, "t%d", r->levels);
        fet__output(r->g, name, t);
        t = r->levels < levels ? next_level(r, t, r->levels) : NULL;
    }
    r->levels--;
    assert_ok(fet__graph_status(r->g));
}

/* ---- data ---- */

static double value_of(const feed *f, int64_t i, int64_t count)
{
    double u = fet__random_uniform(7, fet__hash32(f->name), 0, (uint64_t)i);

    switch (f->kind) {
    case '+': return 0.4 + 1.6 * u;
    case '~': return (u < 0.5 ? -1 : 1) * (0.2 + 2.6 * fabs(u - 0.5));
    case 'd': return 3.0 * (double)((i * 37 + 11) % count) / (double)count - 1.5;
    case 'm': return u < 0.5;
    case 'i': return floor(u * f->below);
    case 'l': return floor(u * (f->below + 1)) - 1;
    default: return 3.0 * u - 1.5;
    }
}

static void fill_inputs(rig *r)
{
    for (int k = 0; k < r->feeds; k++) {
        const feed *f = &r->feed[k];
        int64_t count = fet__shape_count(&f->node->shape);
        void *to = fet__program_input(r->program, f->name);

        for (int64_t i = 0; to && i < count; i++) {
            double v = value_of(f, i, count);

            if (f->node->dtype == FET_I32)
                ((int32_t *)to)[i] = (int32_t)v;
            else
                ((double *)to)[i] = v;
        }
    }
}

static void begin(rig *r, const probe *p, bool reference)
{
    build(r, p);
    assert_ok(fet__program_create(&r->program, r->g, &(fet__program_options){.reference = reference}));
    fill_inputs(r);
    assert_ok(fet__program_run(r->program));
}

static void end(rig *r)
{
    fet__program_destroy(r->program);
    fet__graph_destroy(r->g);
}

static double *snapshot(const rig *r, const char *name, int64_t count)
{
    const double *from = fet__program_output(r->program, name);
    double *copy = fet__alloc((size_t)count, sizeof *copy);

    assert_non_null(from);
    assert_non_null(copy);
    memcpy(copy, from, (size_t)count * sizeof *copy);
    return copy;
}

/* ---- comparisons ---- */

static double largest(const double *v, int64_t count)
{
    double most = 0;

    for (int64_t i = 0; i < count; i++)
        most = fmax(most, fabs(v[i]));
    return most;
}

static void near(const probe *p, const char *what, int64_t i, double got, double want, double bound)
{
    if (!(fabs(got - want) <= bound))
        fail_msg("%s: %s[%lld] is %.12g, not %.12g (bound %.3g)", p->name, what, (long long)i, got, want, bound);
}

/* Every output of the plain run by the other run's. */
static void same_outputs(const rig *a, const rig *b)
{
    for (int k = 0; k < fet__graph_outputs(a->g); k++) {
        const char *name;
        int64_t count = fet__shape_count(&fet__graph_output(a->g, k, &name)->shape);
        const double *x = fet__program_output(a->program, name), *y = fet__program_output(b->program, name);
        double bound = 1e-10 * (1 + largest(x, count));

        assert_non_null(y);
        for (int64_t i = 0; i < count; i++)
            near(a->p, name, i, y[i], x[i], bound);
    }
}

static void same_as_lowering(const rig *r)
{
    const double *low = fet__program_output(r->program, "low"), *y = fet__program_output(r->program, "y");
    const char *name;
    int64_t count = fet__shape_count(&fet__graph_output(r->g, 0, &name)->shape);

    for (int64_t i = 0; low && i < count; i++)
        near(r->p, "the lowering", i, low[i], y[i], 1e-11 * (1 + largest(y, count)));
}

/* Move element i of a feed up and down; the differences of t0, t1, .. */
static void differences(rig *r, double *to, int64_t i, double *slope)
{
    double kept = to[i], side[2][PROBE_LEVELS + 1];
    char name[32];

    for (int up = 0; up < 2; up++) {
        to[i] = kept + (up ? STEP : -STEP);
        assert_ok(fet__program_run(r->program));
        for (int k = 0; k <= r->levels; k++) {
            snprintf(name, sizeof name, "t%d", k);
            side[up][k] = *(const double *)fet__program_output(r->program, name);
        }
    }
    to[i] = kept;
    for (int k = 0; k <= r->levels; k++)
        slope[k] = (side[1][k] - side[0][k]) / (2 * STEP);
}

static void check_input(rig *r, int w)
{
    const feed *f = &r->feed[r->wrt[w]];
    int64_t count = fet__shape_count(&f->node->shape);
    int64_t stride = count <= MOST_SAMPLES ? 1 : count / MOST_SAMPLES + 1;
    double *to = fet__program_input(r->program, f->name), *grad[PROBE_LEVELS] = {NULL};
    double tolerance = r->p->tolerance > 0 ? r->p->tolerance : 1e-6;
    int levels = r->levels < PROBE_LEVELS ? r->levels + 1 : PROBE_LEVELS;
    char name[64];

    if (r->p->levels && levels > r->p->levels)
        levels = r->p->levels;
    assert_ok(fet__program_run(r->program)); /* gradients at the point itself */
    for (int k = 0; k < levels; k++) {
        snprintf(name, sizeof name, "g%d_%d", k, w);
        grad[k] = r->reached[k][w] ? snapshot(r, name, count) : NULL;
    }
    for (int64_t i = stride / 2; i < count && to; i += stride) {
        double slope[PROBE_LEVELS + 1];

        differences(r, to, i, slope);
        for (int k = 0; k < levels; k++) {
            snprintf(name, sizeof name, "d t%d / d %s", k, f->name);
            near(r->p, name, i, grad[k] ? grad[k][i] : 0, slope[k],
                 tolerance * (1 + (grad[k] ? largest(grad[k], count) : 0)));
        }
    }
    for (int k = 0; k < levels; k++)
        fet__free(grad[k]);
}

void probe_check(const probe *p)
{
    rig reference = {0}, ordinary = {0};
    bool any = false;

    begin(&reference, p, true);
    begin(&ordinary, p, false);
    same_as_lowering(&reference);
    same_outputs(&reference, &ordinary);
    for (int w = 0; w < reference.wrt_count; w++) {
        any = any || (w + 1 < reference.wrt_count && reference.reached[0][w]);
        check_input(&reference, w);
    }
    if (any == p->flat)
        fail_msg("%s: %s", p->name, any ? "has a derivative and should have none" : "no input has a derivative");
    end(&reference);
    end(&ordinary);
}
