/* spcl.memory: loss, gradients and updates of the hybrid memory over some steps, in its three forms: one domain, two domains with a loss
 * each (exact and in the reference's order), and one loss over both. */
#include <stdio.h>
#include <string.h>

#include "parity/parity.h"
#include "train/train.h"

typedef struct form {
    const char *name, *feature, *index; /* of the golden's tensors */
    bool labels;                        /* index holds classes, which are rows of the memory as well */
} form;

typedef struct run {
    parity_case *c;
    fet__params *store;
    fet__graph *g;
    fet__program *p;
    fet__param *memory;
    double *label; /* of the memory's rows */
    int64_t rows, width;
    double temperature, momentum;
} run;

static void run_fini(run *r)
{
    fet__program_destroy(r->p);
    fet__graph_destroy(r->g);
    fet__params_destroy(r->store);
    fet__free(r->label);
}

static fet_status begin(run *r)
{
    double *values = NULL;
    int64_t count;
    const fet__entry *e = fet__tensors_find(r->c->t, "param.memory");
    fet_status st;
    if (!e || e->shape.rank != 2)
        return FET_FAIL(FET_E_FORMAT, "param.memory is absent");
    r->rows = e->shape.dim[0];
    r->width = e->shape.dim[1];
    r->temperature = parity_number(r->c, "temp", 0.05);
    r->momentum = parity_number(r->c, "momentum", 0.2);
    FET_TRY(parity_doubles(r->c, "param.memory", &values, &count));
    FET_TRY(parity_doubles(r->c, "in.labels", &r->label, &count));
    FET_TRY(fet__params_create(&r->store));
    FET_TRY(fet__params_add(r->store, &r->memory, "memory", FET_F32, e->shape, FET__STATE));
    for (int64_t i = 0; i < r->rows * r->width; i++)
        ((float *)r->memory->data)[i] = (float)values[i];
    FET_TRY(fet__graph_create(&r->g));
done:
    fet__free(values);
    return st;
}

static fet__node *named_input(run *r, const char *form_name, const char *what, fet_dtype t, fet__shape shape)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%s", form_name, what);
    return fet__input(r->g, name, t, shape);
}

static int64_t batch_of(const run *r, const form *f)
{
    char name[64];
    snprintf(name, sizeof name, "in.%s.0", f->feature);
    const fet__entry *e = fet__tensors_find(r->c->t, name);
    return e ? e->shape.dim[0] : 1;
}

static void output(run *r, const char *form_name, const char *what, fet__node *x)
{
    char *name = fet__arena_format(fet__graph_arena(r->g), "%s.%s", form_name, what);
    fet__output(r->g, name, x);
}

static fet_status add_loss(run *r, const form *f, fet__node *features, fet__node *loss, const char *grad_name)
{
    fet__node *grad;
    fet_status st = fet__gradient(r->g, loss, &features, 1, false, &grad);
    if (st != FET_OK)
        return st;
    output(r, f->name, grad_name, grad);
    return FET_OK;
}

/* Forms are given target first: it is the one whose rows are updated before the reference takes the source's gradient. */
static fet_status build(run *r, const form *forms, int count, bool normalise)
{
    fet__node *label = fet__input(r->g, "label", FET_I32, FET_SHAPE(r->rows)), *memory = fet__leaf(r->g, r->memory);
    fet__memory_classes classes = fet__memory_classes_of(r->g, label);
    fet__node *later = memory;
    fet_status st = FET_OK;
    for (int i = 0; i < count; i++) {
        const form *f = &forms[i];
        int64_t batch = batch_of(r, f);
        fet__node *x = named_input(r, f->name, "x", FET_F32, FET_SHAPE(batch, r->width));
        fet__node *target = named_input(r, f->name, "target", FET_I32, FET_SHAPE(batch));
        fet__node *row = named_input(r, f->name, "row", FET_I32, FET_SHAPE(batch));
        fet__node *unit = normalise ? fet__nn_unit_rows(r->g, x) : x;
        fet__node *loss = fet__memory_loss(r->g, unit, memory, &classes, target, r->temperature);
        output(r, f->name, "loss", loss);
        FET_TRY(add_loss(r, f, x, loss, "grad"));
        if (i == 1) {
            loss = fet__memory_loss_late(r->g, unit, memory, &classes, target, r->temperature, later);
            output(r, f->name, "late_loss", loss);
            FET_TRY(add_loss(r, f, x, loss, "late"));
        }
        later = fet__memory_update(r->g, later, row, unit, r->momentum);
    }
    fet__assign(r->g, memory, later);
    FET_TRY(fet__program_create(&r->p, r->g, &(fet__program_options){.reference = r->c->reference}));
done:
    return st;
}

/* ---- a step ------------------------------------------------------------------------------------------------------- */

static fet_status feed(run *r, const form *f, int step)
{
    char name[64];
    double *x = NULL, *index = NULL;
    int64_t values, batch;
    fet_status st;
    snprintf(name, sizeof name, "in.%s.%d", f->feature, step);
    FET_TRY(parity_doubles(r->c, name, &x, &values));
    snprintf(name, sizeof name, "in.%s.%d", f->index, step);
    FET_TRY(parity_doubles(r->c, name, &index, &batch));
    snprintf(name, sizeof name, "%s.x", f->name);
    for (int64_t i = 0; i < values; i++)
        ((float *)fet__program_input(r->p, name))[i] = (float)x[i];
    for (int64_t b = 0; b < batch; b++) {
        if (!(index[b] >= 0 && index[b] < (double)r->rows)) {
            st = FET_FAIL(FET_E_FORMAT, "in.%s.%d: %g is no row of the memory", f->index, step, index[b]);
            goto done;
        }
        snprintf(name, sizeof name, "%s.row", f->name);
        ((int32_t *)fet__program_input(r->p, name))[b] = (int32_t)index[b];
        snprintf(name, sizeof name, "%s.target", f->name);
        ((int32_t *)fet__program_input(r->p, name))[b] = (int32_t)(f->labels ? index[b] : r->label[(int64_t)index[b]]);
    }
done:
    fet__free(x);
    fet__free(index);
    return st;
}

/* Compare output FORM.WHAT with entry STEM.STEP, when the golden has it. */
static fet_status compare(run *r, const form *f, const char *what, const char *stem, int step, int64_t count)
{
    char output_name[64], name[96];
    snprintf(output_name, sizeof output_name, "%s.%s", f->name, what);
    snprintf(name, sizeof name, "%s.%d", stem, step);
    if (!fet__tensors_find(r->c->t, name))
        return FET_OK;
    return parity_compare(r->c, name, fet__program_output(r->p, output_name), FET_F32, count, PARITY_ABS, 2e-6);
}

static fet_status compare_form(run *r, const form *f, int step, bool two)
{
    char stem[64];
    int64_t values = batch_of(r, f) * r->width;
    fet_status st;
    snprintf(stem, sizeof stem, two ? "loss.%s" : "loss", f->name);
    FET_TRY(compare(r, f, "loss", stem, step, 1));
    if (two && strcmp(f->name, "source") == 0)
        FET_TRY(compare(r, f, "late_loss", stem, step, 1));
    snprintf(stem, sizeof stem, "grad.%s_frozen", f->name);
    FET_TRY(compare(r, f, "grad", stem, step, values));
    snprintf(stem, sizeof stem, "grad.%s", two ? f->name : f->feature);
    FET_TRY(compare(r, f, two && strcmp(f->name, "source") == 0 ? "late" : "grad", stem, step, values));
done:
    return st;
}

fet_status parity_spcl_memory(parity_case *c)
{
    static const form domains[] = {{"target", "target", "target_rows", false},
                                   {"source", "source", "source_labels", true}};
    static const form usl[] = {{"own", "inputs", "indexes", false}}, joint[] = {{"own", "feat", "rows", false}};
    bool two = fet__tensors_find(c->t, "in.source.0"), together = fet__tensors_find(c->t, "in.feat.0");
    const form *forms = two ? domains : together ? joint : usl;
    int count = two ? 2 : 1;
    char name[64];
    run r = {.c = c};
    fet_status st;
    FET_TRY(begin(&r));
    FET_TRY(build(&r, forms, count, together));
    for (int64_t i = 0; i < r.rows; i++)
        ((int32_t *)fet__program_input(r.p, "label"))[i] = (int32_t)r.label[i];
    for (int step = 0;; step++) {
        snprintf(name, sizeof name, "out.memory.%d", step);
        if (!fet__tensors_find(c->t, name))
            break;
        for (int i = 0; i < count; i++)
            FET_TRY(feed(&r, &forms[i], step));
        FET_TRY(fet__program_run(r.p));
        for (int i = 0; i < count; i++)
            FET_TRY(compare_form(&r, &forms[i], step, two));
        FET_TRY(parity_compare(c, name, r.memory->data, FET_F32, r.rows * r.width, PARITY_ABS, 5e-7));
    }
done:
    run_fini(&r);
    return st;
}
