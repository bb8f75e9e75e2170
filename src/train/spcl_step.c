/* SpCL's training step as one program: encoder, unit features, the loss of each domain against the classes of the hybrid memory, gradients, the
 * optimiser's update and the memory's. Which class a row has is fed from outside. Source: spcl.md, sections 3.4 to 3.6; with two domains a batch
 * is [source images; target images] and so are rows and classes.
 *
 *     memory [M, D]: source identities 0 .. Ns-1, then target images
 *     labels [M] -> classes that there are -> loss of f [B, D] against their centres
 *
 * The gradient uses the memory as it was before the step. DEVIATES: the reference takes that of the source loss through target rows that were
 * updated already; `reference_order` does so too. */
#include "train/train_int.h"

#include <stdlib.h>
#include <string.h>

typedef struct form {
    fet__spcl_step *s;
    const fet__spcl_step_options *o;
    fet__graph *g;
    fet__node *memory;
    fet__memory_classes classes;
} form;

/* A domain's part of something that is given for the whole batch. */
static fet__node *part(const form *f, fet__node *x, int domain)
{
    return f->s->domains == 1 ? x : fet__slice(f->g, x, 0, (int64_t)domain * f->o->batch, (domain + 1) * f->o->batch);
}

/* The paper's update of source rows: each identity of the batch once, by the mean of its features. Made unit length again, as all rows are. */
static fet__node *update_by_mean(const form *f, fet__node *memory, fet__node *row, fet__node *features)
{
    fet__graph *g = f->g;
    int64_t rows = f->o->source_rows, width = features ? features->shape.dim[1] : 1;
    fet__node *ones = fet__fill(g, FET_F32, FET_SHAPE(f->o->batch, 1), 1);
    fet__node *count = fet__scatter_add(g, row, ones, rows), *sum = fet__scatter_add(g, row, features, rows);
    fet__node *mean = fet__div(g, sum, fet__binary(g, FET__OP_MAX, count, fet__scalar(g, FET_F32, 1)));
    fet__node *old = fet__slice(g, memory, 0, 0, rows), *next, *both[2];

    next = fet__add(g, fet__scale(g, old, f->o->momentum), fet__scale(g, mean, 1 - f->o->momentum));
    next = fet__nn_unit_rows(g, next);
    both[0] = fet__where(
        g, fet__broadcast(g, fet__compare(g, FET__GT, count, fet__scalar(g, FET_F32, 0)), FET_SHAPE(rows, width)), next,
        old);
    if (rows == f->o->rows)
        return both[0];
    both[1] = fet__slice(g, memory, 0, rows, f->o->rows);
    return fet__concat(g, both, 2, 0);
}

/* Target rows first, as the reference's backward pass comes to them first; the two never touch the same row. */
static fet__node *update(const form *f, fet__node *features, fet__node *row, fet__node **after_target)
{
    fet__node *memory = f->memory;
    int target = f->s->domains - 1;

    if (f->o->source_rows < f->o->rows)
        memory = fet__memory_update(f->g, memory, part(f, row, target), part(f, features, target), f->o->momentum);
    *after_target = memory;
    if (f->o->source_rows == 0)
        return memory;
    if (f->o->mean_update)
        return update_by_mean(f, memory, part(f, row, 0), part(f, features, 0));
    return fet__memory_update(f->g, memory, part(f, row, 0), part(f, features, 0), f->o->momentum);
}

static fet__node *domain_loss(const form *f, fet__node *features, fet__node *class_of, int domain, fet__node *later)
{
    fet__node *x = part(f, features, domain), *target = part(f, class_of, domain);

    if (!later)
        return fet__memory_loss(f->g, x, f->memory, &f->classes, target, f->o->temperature);
    return fet__memory_loss_late(f->g, x, f->memory, &f->classes, target, f->o->temperature, later);
}

static fet__node *loss_of(const form *f, fet__node *features, fet__node *class_of, fet__node *after_target)
{
    bool two = f->s->domains == 2;
    fet__node *first = domain_loss(f, features, class_of, 0, two && f->o->reference_order ? after_target : NULL);
    fet__node *second;

    fet__output(f->g, two ? "loss.source" : "loss.own", first);
    if (!two)
        return first;
    second = domain_loss(f, features, class_of, 1, NULL);
    fet__output(f->g, "loss.target", second);
    return fet__add(f->g, first, second);
}

static fet_status memory_of(fet__spcl_step *s, fet__model *m, const fet__spcl_step_options *o)
{
    fet__shape shape = FET_SHAPE(o->rows, m->arch.feature_size);
    fet_status st = FET_OK;

    s->memory = fet__params_find(m->store, "spcl.memory");
    if (!s->memory)
        FET_TRY(fet__params_add(m->store, &s->memory, "spcl.memory", FET_F32, shape, FET__STATE));
    if (!fet__shape_equal(&s->memory->shape, &shape))
        st = FET_FAIL(FET_E_BUG, "the memory has shape %s", fet__shape_text(&s->memory->shape));
done:
    return st;
}

static fet__node *encode(fet__spcl_step *s, fet__model *m, fet__graph *g, const fet__spcl_step_options *o)
{
    fet__build b = {.g = g, .train = true, .dtype = FET_F32, .norm_group = o->norm_group};
    fet__node *images, *features = NULL, *logits;

    b.step = fet__input(g, "step", FET_I32, fet__shape_scalar());
    images = fet__input(
        g, "images", FET_F32,
        FET_SHAPE((int64_t)s->domains * o->batch, m->arch.height, m->arch.width, fet__arch_channels(&m->arch)));
    if (fet__model_build(m, &b, images, &features, &logits) != FET_OK)
        return NULL;
    return fet__nn_unit_rows(g, features);
}

static fet_status build(fet__spcl_step *s, fet__model *m, const fet__spcl_step_options *o)
{
    fet__step_options train = {.optimizer = o->optimizer};
    form f = {.s = s, .o = o};
    fet__node *features, *row, *class_of, *used, *loss, *later, *after_target;
    int64_t batch = (int64_t)s->domains * o->batch;
    fet_status st;

    FET_TRY(fet__graph_create(&s->base.graph));
    f.g = s->base.graph;
    features = encode(s, m, f.g, o);
    FET_TRY(fet__graph_status(f.g));
    fet__output(f.g, "features", features);
    row = fet__input(f.g, "row", FET_I32, FET_SHAPE(batch));
    class_of = fet__input(f.g, "class", FET_I32, FET_SHAPE(batch));
    used = fet__input(f.g, "used", FET_F32, FET_SHAPE(o->rows, 1));
    f.memory = fet__leaf(f.g, s->memory);
    f.classes = fet__memory_classes_of(f.g, fet__input(f.g, "label", FET_I32, FET_SHAPE(o->rows)));
    f.classes.present = fet__mul(f.g, f.classes.present, used);
    later = update(&f, features, row, &after_target);
    loss = loss_of(&f, features, class_of, after_target);
    fet__output(f.g, "loss", loss);
    fet__assign(f.g, f.memory, fet__stop_gradient(f.g, later));
    FET_TRY(fet__graph_status(f.g));
    FET_TRY(fet__step_train(&s->base, m, loss, &train));
done:
    return st;
}

static void bind(fet__spcl_step *s)
{
    fet__program *p = s->base.program;

    s->base.images = fet__program_input(p, "images");
    s->base.step = fet__program_input(p, "step");
    s->base.loss = fet__program_output(p, "loss");
    s->base.features = fet__program_output(p, "features");
    s->base.grad_norm = fet__program_output(p, "grad_norm");
    s->row = fet__program_input(p, "row");
    s->class_of = fet__program_input(p, "class");
    s->label = fet__program_input(p, "label");
    s->used = fet__program_input(p, "used");
    s->source_loss = fet__program_output(p, "loss.source");
    s->target_loss = fet__program_output(p, s->domains == 2 ? "loss.target" : "loss.own");
}

fet_status fet__spcl_step_create(fet__spcl_step *out, fet__model *m, const fet__spcl_step_options *o)
{
    fet__program_options program = {.memory = o->memory,
                                    .whole = o->memory > 0,
                                    .reference = o->reference,
                                    .check_finite = o->check_finite,
                                    .require_finite = "loss"};
    fet_status st;

    memset(out, 0, sizeof *out);
    out->domains = o->source_rows > 0 && o->source_rows < o->rows ? 2 : 1;
    out->base.batch = out->base.part = out->domains * o->batch;
    if (o->batch < 1 || o->rows < 1 || o->source_rows < 0 || o->source_rows > o->rows)
        return FET_FAIL(FET_E_ARG, "a batch of %d images and a memory of %lld rows", o->batch, (long long)o->rows);
    FET_TRY(memory_of(out, m, o));
    FET_TRY(build(out, m, o));
    st = fet__program_create(&out->base.program, out->base.graph, &program);
    if (st == FET_E_NOMEM)
        fet__fail_in(st, "a batch is not run in parts, for its features move the memory together");
    FET_TRY(st);
    bind(out);
done:
    if (st != FET_OK)
        fet__spcl_step_fini(out);
    return st;
}

void fet__spcl_step_fini(fet__spcl_step *s)
{
    fet__step_fini(&s->base);
    memset(s, 0, sizeof *s);
}

/* ---- classes ------------------------------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;

    return (x > y) - (x < y);
}

/* Gaps go, order stays. Rows without a label share a class that is not used: there is a free number, for they have none of their own. */
fet_status fet__spcl_step_labels(fet__spcl_step *s, const int32_t *label, int64_t rows, int64_t *classes)
{
    int32_t *distinct = NULL;
    int64_t count = 0;
    fet_status st;

    FET_TRY(FET_NEW(distinct, rows + 1));
    memcpy(distinct, label, (size_t)rows * sizeof *label);
    qsort(distinct, (size_t)rows, sizeof *distinct, by_value);
    for (int64_t i = 0; i < rows; i++)
        if (distinct[i] >= 0 && (count == 0 || distinct[i] != distinct[count - 1]))
            distinct[count++] = distinct[i];
    for (int64_t i = 0; i < rows; i++) {
        const int32_t *at =
            label[i] < 0 ? NULL : bsearch(&label[i], distinct, (size_t)count, sizeof *distinct, by_value);
        s->label[i] = at ? (int32_t)(at - distinct) : (int32_t)(rows - 1);
        s->used[i] = i < count;
    }
    *classes = count;
done:
    fet__free(distinct);
    return st;
}

void fet__spcl_step_rows(fet__spcl_step *s, int at, const int32_t *row, int count)
{
    for (int i = 0; i < count; i++) {
        s->row[at + i] = row[i];
        s->class_of[at + i] = s->label[row[i]];
    }
}
