/* See net_case.h. */
#include "parity/net_case.h"

#include <string.h>

static bool begins(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* ---- the store ------------------------------------------------------------------------------------------- */

static fet_status add_params(net_case *n, const fet__tensors *t)
{
    fet_status st = FET_OK;

    for (int i = 0; i < fet__tensors_count(t); i++) {
        const fet__entry *e = fet__tensors_at(t, i);
        fet__param *p;
        if (!begins(e->name, "param.") || !fet__dtype_is_float(e->dtype))
            continue;
        FET_TRY(fet__params_add(n->store, &p, e->name + 6, FET_F32, e->shape, FET__PARAM));
        fet__convert(p->data, FET_F32, e->data, e->dtype, fet__shape_count(&e->shape));
        p->loaded = true;
    }
done:
    return st;
}

static fet_status add_base(net_case *n, const char *name)
{
    char *path = fet__path_join(n->c->folder, name);
    fet__tensors *t = NULL;
    fet_status st = path ? fet__tensors_open(&t, path) : FET_E_NOMEM;

    if (st == FET_OK)
        st = add_params(n, t);
    fet__tensors_close(t);
    fet__free(path);
    return st;
}

fet_status net_open(net_case *n, parity_case *c, const net_tolerance *tolerances)
{
    char *names = fet__strdup(parity_text(c, "base_file", "")), *name, *save = NULL;
    fet_status st = names ? FET_OK : FET_E_NOMEM;

    *n = (net_case){.c = c, .tolerances = tolerances, .type = c->reference ? FET_F64 : FET_F32};
    FET_TRY(st);
    FET_TRY(fet__params_create(&n->store));
    FET_TRY(FET_NEW(n->outputs, fet__tensors_count(c->t) + 1));
    FET_TRY(FET_NEW(n->wanted, fet__tensors_count(c->t) + 1));
    FET_TRY(add_params(n, c->t));
    for (name = strtok_r(names, ",", &save); name; name = strtok_r(NULL, ",", &save))
        FET_TRY(add_base(n, name));
done:
    fet__free(names);
    return st;
}

static void end_graph(net_case *n)
{
    fet__program_destroy(n->p);
    fet__graph_destroy(n->b.g);
    n->p = NULL;
    n->b.g = NULL;
    n->output_count = n->wanted_count = 0;
}

void net_close(net_case *n)
{
    end_graph(n);
    fet__params_destroy(n->store);
    fet__free(n->outputs);
    fet__free(n->wanted);
}

/* ---- the graph ------------------------------------------------------------------------------------------- */

static fet__norm_mode mode_of(void *user, const fet__build *b, const char *name)
{
    (void)b;
    (void)name;
    return ((const net_case *)user)->mode;
}

fet_status net_begin(net_case *n, fet__norm_mode mode, bool train)
{
    end_graph(n);
    n->mode = mode;
    n->b = (fet__build){.store = n->store, .train = train, .dtype = n->type, .norm_mode = mode_of, .norm_mode_user = n};
    return fet__graph_create(&n->b.g);
}

fet__node *net_input(net_case *n, const char *entry)
{
    const fet__entry *e = fet__tensors_find(n->c->t, entry);
    fet__node *x;

    if (!e)
        return fet__graph_fail(n->b.g, FET_E_FORMAT, "the golden has no %s", entry);
    x = fet__input(n->b.g, entry, fet__dtype_is_float(e->dtype) ? n->type : FET_I32, e->shape);
    return x && e->shape.rank == 4 ? fet__transpose(n->b.g, x, (int[]){0, 2, 3, 1}) : x;
}

void net_output(net_case *n, const char *entry, fet__node *x)
{
    if (x && x->shape.rank == 4)
        x = fet__transpose(n->b.g, x, (int[]){0, 3, 1, 2});
    if (x)
        fet__output(n->b.g, entry, x);
    n->outputs[n->output_count++] = (net_value){entry, x};
}

/* An input of the graph by name: asking for it again gives the same node. */
static fet__node *input_named(net_case *n, const char *name)
{
    const fet__entry *e = fet__tensors_find(n->c->t, name);

    return e && fet__dtype_is_float(e->dtype) ? fet__input(n->b.g, e->name, n->type, e->shape) : NULL;
}

fet_status net_want(net_case *n, const char *prefix, size_t strip)
{
    char name[200];

    for (int i = 0; i < fet__tensors_count(n->c->t); i++) {
        const fet__entry *e = fet__tensors_at(n->c->t, i);
        fet__param *p;
        fet__node *x;
        if (!begins(e->name, prefix))
            continue;
        p = fet__params_find(n->store, e->name + strip);
        snprintf(name, sizeof name, "in.%s", e->name + strip);
        x = p ? fet__leaf(n->b.g, p) : input_named(n, begins(e->name + strip, "in.") ? e->name + strip : name);
        if (!x)
            return FET_FAIL(FET_E_FORMAT, "%s names neither a parameter nor an input", e->name);
        n->wanted[n->wanted_count++] = (net_value){e->name, x};
    }
    return fet__graph_status(n->b.g);
}

fet__node *net_weighted_sum(net_case *n, fet__node *x, const char *entry, double scale)
{
    return fet__scale(n->b.g, fet__sum_all(n->b.g, fet__mul(n->b.g, x, net_input(n, entry))), scale);
}

fet__node *net_cross_entropy(net_case *n, fet__node *logits, const char *entry)
{
    fet__node *each = fet__cross_entropy(n->b.g, logits, net_input(n, entry), 0);

    return each ? fet__scale(n->b.g, fet__sum_all(n->b.g, each), 1.0 / (double)each->shape.dim[0]) : NULL;
}

/* ---- running --------------------------------------------------------------------------------------------- */

static fet_status differentiate(net_case *n, fet__node *loss)
{
    fet__node **wrt = NULL, **grads = NULL;
    fet_status st;

    FET_TRY(FET_NEW(wrt, n->wanted_count + 1));
    FET_TRY(FET_NEW(grads, n->wanted_count + 1));
    for (int i = 0; i < n->wanted_count; i++)
        wrt[i] = n->wanted[i].node;
    FET_TRY(fet__gradient(n->b.g, loss, wrt, n->wanted_count, false, grads));
    for (int i = 0; i < n->wanted_count; i++) {
        fet__output(n->b.g, n->wanted[i].entry, grads[i]);
        n->outputs[n->output_count++] = (net_value){n->wanted[i].entry, grads[i]};
    }
done:
    fet__free(wrt);
    fet__free(grads);
    return st;
}

static void feed(const net_case *n)
{
    for (int i = 0; i < fet__tensors_count(n->c->t); i++) {
        const fet__entry *e = fet__tensors_at(n->c->t, i);
        void *to = fet__program_input(n->p, e->name);
        if (to)
            fet__convert(to, fet__dtype_is_float(e->dtype) ? n->type : FET_I32, e->data, e->dtype,
                         fet__shape_count(&e->shape));
    }
}

static const net_tolerance *tolerance_of(const net_case *n, const char *entry)
{
    const net_tolerance *t = n->tolerances;

    while (t->prefix && !begins(entry, t->prefix))
        t++;
    return t;
}

static fet_status compare(net_case *n, const char *entry, const void *data, fet_dtype type, int64_t count)
{
    const net_tolerance *t = tolerance_of(n, entry);

    return parity_compare(n->c, entry, data, type, count, t->mode, t->value);
}

fet_status net_run(net_case *n, fet__node *loss)
{
    fet__program_options o = {.reference = n->c->reference};
    fet_status st;

    FET_TRY(fet__graph_status(n->b.g));
    if (n->wanted_count)
        FET_TRY(differentiate(n, loss));
    FET_TRY(fet__program_create(&n->p, n->b.g, &o));
    feed(n);
    FET_TRY(fet__program_run(n->p));
    for (int i = 0; i < n->output_count; i++) {
        const net_value *v = &n->outputs[i];
        FET_TRY(compare(n, v->entry, fet__program_output(n->p, v->entry), v->node->dtype,
                        fet__shape_count(&v->node->shape)));
    }
done:
    return st;
}

static fet_status compare_counter(net_case *n, const fet__entry *e, const char *own, int steps)
{
    char name[200];
    double *before = NULL, now = 0;
    fet_status st;

    snprintf(name, sizeof name, "param.%s", own);
    if (fet__tensors_find(n->c->t, name)) {
        FET_TRY(parity_doubles(n->c, name, &before, NULL));
        now = before[0];
    }
    st = parity_compare_one(n->c, e->name, now + steps, PARITY_ABS, 0);
done:
    fet__free(before);
    return st;
}

fet_status net_final(net_case *n, const char *prefix, int steps)
{
    fet_status st = FET_OK;

    for (int i = 0; i < fet__tensors_count(n->c->t); i++) {
        const fet__entry *e = fet__tensors_at(n->c->t, i);
        const char *own = e->name + strlen("final.");
        const fet__param *p;
        if (!begins(e->name, prefix))
            continue;
        if (!fet__dtype_is_float(e->dtype)) {
            FET_TRY(compare_counter(n, e, own, steps));
            continue;
        }
        if (!(p = fet__params_find(n->store, own)))
            return FET_FAIL(FET_E_FORMAT, "the network has no tensor %s", own);
        FET_TRY(compare(n, e->name, p->data, p->dtype, fet__shape_count(&p->shape)));
    }
done:
    return st;
}
