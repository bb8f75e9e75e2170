/* The program of one step: model, loss, gradients of what trains, optimiser; or, in evaluation, model and loss. What is fed to it
 * comes from loop.c and evaluate_loop.c. */
#include "train/micro_batch.h"

#include <string.h>

/* Mean over the samples that have a label: the last batch of an epoch is filled up with label -1, which gives loss 0. */
fet__node *fet__mean_loss(fet__graph *g, fet__node *each, fet__node *labels)
{
    fet__node *valid, *count;

    valid = fet__compare(g, FET__GE, fet__cast(g, labels, FET_F32), fet__scalar(g, FET_F32, 0));
    count = fet__binary(g, FET__OP_MAX, fet__sum_all(g, valid), fet__scalar(g, FET_F32, 1));
    return fet__div(g, fet__sum_all(g, each), count);
}

/* A picture that two were mixed into: own CE(label) + (1 - own) CE(labels2). Cross-entropy is linear in its target, so this is
 * the loss of the mixed soft target, smoothing included. */
static fet__node *loss_of(fet__graph *g, fet__node *logits, fet__node *labels, const fet__step_options *o, bool micro)
{
    fet__node *each = fet__cross_entropy(g, logits, labels, o->smoothing), *labels2, *own, *second;

    if (!o->mix)
        return micro ? fet__micro_mean(g, each) : fet__mean_loss(g, each, labels);
    labels2 = fet__input(g, "labels2", FET_I32, FET_SHAPE(o->batch));
    own = fet__input(g, "own", FET_F32, FET_SHAPE(o->batch));
    second = fet__cross_entropy(g, logits, labels2, o->smoothing);
    /* second + own (each - second) */
    each = fet__add(g, second, fet__mul(g, own, fet__sub(g, each, second)));
    return micro ? fet__micro_mean(g, each) : fet__mean_loss(g, each, labels);
}

fet_status fet__step_collect(fet__step *s, fet__model *m)
{
    int i, n = fet__params_count(m->store);
    fet_status st;

    FET_TRY(FET_NEW(s->params, n + 1));
    for (i = 0; i < n; i++) {
        fet__param *p = fet__params_at(m->store, i);
        if (p->role != FET__PARAM || !p->trainable)
            continue;
        s->params[s->trainable++] = p;
        s->trainable_values += fet__shape_count(&p->shape);
    }
    if (s->trainable == 0)
        st = FET_FAIL(FET_E_ARG, "nothing would train: the adapter adds no parameters and the model has no head");
done:
    return st;
}

fet_status fet__step_train(fet__step *s, fet__model *m, fet__node *loss, const fet__step_options *o)
{
    fet__node **leaves = NULL, **grads = NULL;
    fet_status st;
    int i;

    FET_TRY(fet__step_collect(s, m));
    FET_TRY(FET_NEW(leaves, s->trainable));
    FET_TRY(FET_NEW(grads, s->trainable));
    for (i = 0; i < s->trainable; i++) {
        leaves[i] = fet__leaf(s->graph, s->params[i]);
        FET_TRY(fet__param_own(s->params[i]));
    }
    FET_TRY(fet__gradient(s->graph, loss, leaves, s->trainable, false, grads));
    FET_TRY(fet__optimizer_build(o->optimizer, s->graph, m->store, leaves, grads, s->trainable));
done:
    fet__free(leaves);
    fet__free(grads);
    return st;
}

/* `batch` > o->batch: a part's graph, of a step that is run in batch / o->batch parts. */
static fet_status build(fet__step *s, fet__model *m, const fet__step_options *o, int batch)
{
    fet__micro_form form = {.parts = batch / o->batch};
    fet__build b = {.train = o->train, .dtype = FET_F32, .drop_path = o->drop_path};
    fet__node *images, *labels, *features, *logits, *loss;
    fet_status st;

    FET_TRY(fet__graph_create(&s->graph));
    b.g = s->graph;
    if (o->train)
        b.step = fet__input(s->graph, "step", FET_I32, fet__shape_scalar());
    if (form.parts > 1)
        fet__micro_masks(&form, &b);
    images = fet__input(s->graph, "images", FET_F32,
                        FET_SHAPE(o->batch, m->arch.height, m->arch.width, fet__model_channels(m)));
    labels = fet__input(s->graph, "labels", FET_I32, FET_SHAPE(o->batch));
    FET_TRY(fet__model_build(m, &b, images, &features, &logits));
    if (fet__graph_assigns(s->graph) > 0) {
        fet__node *statistic;

        fet__graph_assign(s->graph, 0, &statistic);
        s->coupled = statistic->param;
    }
    if (form.parts == 1)
        fet__output(s->graph, "features", features);
    if (!logits) {
        st = o->train ? FET_FAIL(FET_E_ARG, "the model has no head to train") : FET_OK;
        goto done;
    }
    loss = loss_of(s->graph, logits, labels, o, form.parts > 1);
    fet__output(s->graph, "loss", loss);
    if (form.parts == 1)
        fet__output(s->graph, "logits", logits);
    FET_TRY(fet__graph_status(s->graph));
    if (form.parts > 1) {
        FET_TRY(fet__step_collect(s, m));
        FET_TRY(fet__micro_create(s, m, loss, o, batch));
    } else if (o->optimizer) {
        FET_TRY(fet__step_train(s, m, loss, o));
    }
done:
    return st;
}

/* ---- evaluation in parts ---------------------------------------------------------------------------------------- */

/* Working memory of one run that still lies in the second-level caches of a few cores. Measured with ViT-B/16: 16 images at once
 * take 15-20 % longer than 8 times 2. */
#define PART_BYTES ((int64_t)8 << 20)

/* The whole batch on the host, where the program sees a part of it at a time. */
struct fet__step_parts {
    float *images, *logits, *features;
    int32_t *labels;
    float loss;
    int64_t image_values, classes, feature_values;
    float *part_images;
    int32_t *part_labels;
    const float *part_loss, *part_logits, *part_features;
};

static int part_of(const fet__step *s, const fet__step_options *o)
{
    int64_t arena = fet__program_describe(s->program).arena_bytes, part;

    if (o->train || o->optimizer || o->reference || arena <= PART_BYTES)
        return o->batch;
    part = PART_BYTES * o->batch / arena;
    return part < 1 ? 1 : (int)part;
}

static void bind_program(fet__step *s)
{
    s->images = fet__program_input(s->program, "images");
    s->labels = fet__program_input(s->program, "labels");
    s->step = fet__program_input(s->program, "step");
    s->labels2 = fet__program_input(s->program, "labels2");
    s->own = fet__program_input(s->program, "own");
    s->loss = fet__program_output(s->program, "loss");
    s->logits = fet__program_output(s->program, "logits");
    s->features = fet__program_output(s->program, "features");
    s->grad_norm = fet__program_output(s->program, "grad_norm");
}

static fet_status bind_parts(fet__step *s, const fet__model *m)
{
    struct fet__step_parts *p;
    fet_status st;

    FET_TRY(FET_NEW(s->parts, 1));
    p = s->parts;
    p->part_images = s->images;
    p->part_labels = s->labels;
    p->part_loss = s->loss;
    p->part_logits = s->logits;
    p->part_features = s->features;
    p->image_values = (int64_t)m->arch.height * m->arch.width * fet__model_channels(m);
    p->classes = m->arch.classes;
    p->feature_values = m->arch.feature_size;
    FET_TRY(FET_NEW(p->images, s->batch * p->image_values));
    FET_TRY(FET_NEW(p->labels, s->batch));
    FET_TRY(FET_NEW(p->features, s->batch * p->feature_values));
    FET_TRY(FET_NEW(p->logits, s->batch * (p->classes ? p->classes : 1)));
    s->images = p->images;
    s->labels = s->labels ? p->labels : NULL;
    s->features = p->features;
    s->logits = s->logits ? p->logits : NULL;
    s->loss = s->loss ? &p->loss : NULL;
done:
    return st;
}

static void parts_destroy(struct fet__step_parts *p)
{
    if (!p)
        return;
    fet__free(p->images);
    fet__free(p->labels);
    fet__free(p->logits);
    fet__free(p->features);
    fet__free(p);
}

/* Labels of the part that begins at `first`; those beyond the batch are -1. Returns how many count. */
static int64_t feed_labels(const fet__step *s, int first)
{
    const struct fet__step_parts *p = s->parts;
    int64_t valid = 0;

    for (int i = 0; p->part_labels && i < s->part; i++) {
        p->part_labels[i] = first + i < s->batch ? p->labels[first + i] : -1;
        valid += p->part_labels[i] >= 0;
    }
    return valid;
}

static fet_status run_parts(fet__step *s)
{
    struct fet__step_parts *p = s->parts;
    double loss = 0;
    int64_t all = 0;
    fet_status st;

    for (int first = 0; first < s->batch; first += s->part) {
        size_t count = (size_t)(first + s->part < s->batch ? s->part : s->batch - first);
        int64_t valid = feed_labels(s, first);

        memcpy(p->part_images, p->images + first * p->image_values, count * (size_t)p->image_values * sizeof(float));
        FET_TRY(fet__program_run(s->program));
        memcpy(p->features + first * p->feature_values, p->part_features,
               count * (size_t)p->feature_values * sizeof(float));
        if (p->part_logits)
            memcpy(p->logits + first * p->classes, p->part_logits, count * (size_t)p->classes * sizeof(float));
        loss += p->part_loss ? (double)*p->part_loss * (double)valid : 0;
        all += valid;
    }
    p->loss = all ? (float)(loss / (double)all) : 0;
    st = FET_OK;
done:
    return st;
}

fet_status fet__step_compute(fet__step *s)
{
    if (s->micro)
        return fet__micro_compute(s);
    return s->parts ? run_parts(s) : fet__program_run(s->program);
}

fet__program *fet__step_program(const fet__step *s)
{
    return s->micro ? fet__micro_program(s->micro) : s->program;
}

fet__program_info fet__step_info(const fet__step *s)
{
    return s->micro ? fet__micro_info(s) : fet__program_describe(s->program);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static fet_status create_program(fet__step *out, fet__model *m, const fet__step_options *o)
{
    fet__program_options program = {.memory = o->memory,
                                    .whole = o->memory > 0,
                                    .beside = o->beside,
                                    .reference = o->reference,
                                    .check_finite = o->check_finite,
                                    .require_finite = o->optimizer ? "loss" : NULL};
    fet_status st;

    FET_TRY(build(out, m, o, o->batch));
    FET_TRY(fet__program_create(&out->program, out->graph, &program));
done:
    return st;
}

/* ---- training in parts ------------------------------------------------------------------------------------------- */

static fet_status create_parts(fet__step *out, fet__model *m, const fet__step_options *o, int parts)
{
    fet__step_options part = *o;
    fet_status st;

    fet__step_fini(out);
    part.batch = o->batch / parts;
    st = build(out, m, &part, o->batch);
    out->batch = o->batch;
    out->part = part.batch;
    return st;
}

/* Whole batches are over the budget, as the thread's message says. */
static fet_status create_smaller(fet__step *out, fet__model *m, const fet__step_options *o)
{
    fet_status st = FET_E_NOMEM;

    if (out->coupled)
        return fet__fail_in(
            st, "the batch of %d cannot be run in parts, for batch norm takes its statistics from all of it (%s)",
            o->batch, fet__show(out->coupled->name));
    for (int parts = 2; parts <= o->batch && st == FET_E_NOMEM; parts++)
        if (o->batch % parts == 0)
            st = create_parts(out, m, o, parts);
    if (st == FET_E_NOMEM)
        fet__fail_in(st, "even with a batch of %d run image by image", o->batch);
    return st;
}

/* One that is trained: as a whole, or in the parts that are asked for, or in as few as fit. */
static fet_status create_training(fet__step *out, fet__model *m, const fet__step_options *o)
{
    fet_status st;

    if (o->parts > 1 && o->batch % o->parts != 0)
        return FET_FAIL(FET_E_ARG, "a batch of %d is not %d equal parts", o->batch, o->parts);
    if (o->parts > 1)
        return create_parts(out, m, o, o->parts);
    st = create_program(out, m, o);
    if (st == FET_E_NOMEM && o->parts == 0 && !o->reference && o->batch > 1)
        st = create_smaller(out, m, o);
    return st;
}

fet_status fet__step_create(fet__step *out, fet__model *m, const fet__step_options *o)
{
    fet__step_options part = *o;
    fet_status st;

    memset(out, 0, sizeof *out);
    if (o->batch < 1)
        return FET_FAIL(FET_E_ARG, "batch %d is below 1", o->batch);
    if (fet__model_channels(m) != 3 && !o->bands)
        return FET_FAIL(FET_E_ARG, "the model takes images of %d channels, and pictures have 3",
                        fet__model_channels(m));
    FET_TRY(o->optimizer ? create_training(out, m, o) : create_program(out, m, o));
    if (out->micro)
        goto done;
    part.batch = part_of(out, o);
    if (part.batch < o->batch) {
        fet__step_fini(out);
        FET_TRY(create_program(out, m, &part));
    }
    out->batch = o->batch;
    out->part = part.batch;
    bind_program(out);
    if (out->labels) /* who wants logits alone gives none, and working memory holds whatever was there before */
        memset(out->labels, 0, (size_t)out->part * sizeof *out->labels);
    if (out->part < out->batch)
        FET_TRY(bind_parts(out, m));
done:
    if (st != FET_OK)
        fet__step_fini(out);
    return st;
}

void fet__step_fini(fet__step *s)
{
    fet__program_destroy(s->program);
    fet__graph_destroy(s->graph);
    fet__free(s->params);
    parts_destroy(s->parts);
    fet__micro_destroy(s->micro);
    memset(s, 0, sizeof *s);
}
