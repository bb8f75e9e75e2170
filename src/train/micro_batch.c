/* Micro-batches. The gradients' sums are tensors of a store of their own, so that no checkpoint holds them; the parts' program adds to them, the
 * update's program reads them: clipping and optimiser see the whole batch's gradient, once. Only samples that do not touch each other can be
 * taken apart: a batch norm on the batch's statistics refuses. */
#include "train/micro_batch.h"

#include <string.h>

struct fet__micro {
    fet__params *store;
    fet__param **sum; /* by trained tensor */
    fet__graph *graph;
    fet__program *program;
    int parts;
    int64_t image_values, host_bytes;
    float *images, *own; /* of the whole batch */
    int32_t *labels, *labels2, step;
    float loss;
    struct { /* what the program of a part reads */
        float *images, *own, *count;
        int32_t *labels, *labels2, *step, *part;
        const float *loss;
    } of_part;
};

/* ---- a part's graph --------------------------------------------------------------------------------------------------- */

/* Random numbers of the whole batch, of which this part's rows are taken: rows of a batch come in the order of its images. */
static fet__node *mask(void *user, fet__build *b, fet__shape shape, double p)
{
    fet__micro_form *f = user;
    fet__shape whole = shape;
    fet__node *u, *keep;

    if (!b->step)
        return fet__graph_fail(b->g, FET_E_BUG, "dropout needs the step number");
    if (!f->part)
        f->part = fet__input(b->g, "part", FET_I32, FET_SHAPE(1));
    whole.dim[0] *= f->parts;
    u = fet__random(b->g, b->step, b->seed, 0x40000000u + b->random_count++, b->dtype, whole);
    u = fet__gather(b->g, fet__reshape(b->g, u, FET_SHAPE(f->parts, fet__shape_count(&shape))), f->part);
    keep = fet__compare(b->g, FET__GE, fet__reshape(b->g, u, shape), fet__scalar(b->g, b->dtype, p));
    return fet__scale(b->g, keep, 1.0 / (1.0 - p));
}

void fet__micro_masks(fet__micro_form *f, fet__build *b)
{
    b->mask = mask;
    b->mask_user = f;
}

fet__node *fet__micro_mean(fet__graph *g, fet__node *each)
{
    return fet__div(g, fet__sum_all(g, each), fet__input(g, "count", FET_F32, fet__shape_scalar()));
}

/* ---- creation ----------------------------------------------------------------------------------------------------------- */

static fet_status add_sums(struct fet__micro *u, const fet__step *s)
{
    fet_status st;

    FET_TRY(fet__params_create(&u->store));
    FET_TRY(FET_NEW(u->sum, s->trainable + 1));
    for (int i = 0; i < s->trainable; i++) {
        const fet__param *p = s->params[i];

        FET_TRY(fet__params_add(u->store, &u->sum[i], p->name, p->dtype, p->shape, FET__STATE));
    }
done:
    return st;
}

/* Gradients of a part into the sums. */
static fet_status add_gradients(struct fet__micro *u, const fet__step *s, fet__node *loss)
{
    fet__node **leaves = NULL, **grads = NULL;
    fet_status st;

    FET_TRY(FET_NEW(leaves, s->trainable));
    FET_TRY(FET_NEW(grads, s->trainable));
    for (int i = 0; i < s->trainable; i++) {
        leaves[i] = fet__leaf(u->graph, s->params[i]);
        FET_TRY(fet__param_own(s->params[i]));
    }
    FET_TRY(fet__gradient(u->graph, loss, leaves, s->trainable, false, grads));
    for (int i = 0; i < s->trainable; i++) {
        fet__node *sum = fet__leaf(u->graph, u->sum[i]);

        fet__assign(u->graph, sum, fet__add(u->graph, sum, grads[i]));
    }
    st = fet__graph_status(u->graph);
done:
    fet__free(leaves);
    fet__free(grads);
    return st;
}

/* The update, with the sums as gradients. That they are assigned (to themselves) tells the program that they change between runs. */
static fet_status build_update(const struct fet__micro *u, fet__step *s, fet__model *m, const fet__step_options *o)
{
    fet__node **leaves = NULL, **grads = NULL;
    fet_status st;

    FET_TRY(FET_NEW(leaves, s->trainable));
    FET_TRY(FET_NEW(grads, s->trainable));
    FET_TRY(fet__graph_create(&s->graph));
    for (int i = 0; i < s->trainable; i++) {
        leaves[i] = fet__leaf(s->graph, s->params[i]);
        grads[i] = fet__leaf(s->graph, u->sum[i]);
        fet__assign(s->graph, grads[i], grads[i]);
    }
    st = fet__optimizer_build(o->optimizer, s->graph, m->store, leaves, grads, s->trainable);
done:
    fet__free(leaves);
    fet__free(grads);
    return st;
}

static fet_status take_batch(struct fet__micro *u, fet__step *s, const fet__step_options *o, int batch)
{
    fet__program *p = u->program;
    fet_status st;

    u->of_part.images = fet__program_input(p, "images");
    u->of_part.labels = fet__program_input(p, "labels");
    u->of_part.labels2 = fet__program_input(p, "labels2");
    u->of_part.own = fet__program_input(p, "own");
    u->of_part.count = fet__program_input(p, "count");
    u->of_part.step = fet__program_input(p, "step");
    u->of_part.part = fet__program_input(p, "part");
    u->of_part.loss = fet__program_output(p, "loss");
    FET_TRY(FET_NEW(u->images, batch * u->image_values));
    FET_TRY(FET_NEW(u->labels, batch));
    FET_TRY(FET_NEW(u->labels2, batch));
    FET_TRY(FET_NEW(u->own, batch));
    s->images = u->images;
    s->labels = u->labels;
    s->labels2 = o->mix ? u->labels2 : NULL;
    s->own = o->mix ? u->own : NULL;
    s->step = &u->step;
    s->loss = &u->loss;
    s->grad_norm = fet__program_output(s->program, "grad_norm");
done:
    return st;
}

/* What is taken besides the parts' program, which counts weights and sums itself. */
static int64_t update_bytes(const struct fet__micro *u, const fet__step *s)
{
    fet__program_info update = fet__program_describe(s->program);
    int64_t both = 0;

    for (int i = 0; i < s->trainable; i++)
        both += s->params[i]->bytes + u->sum[i]->bytes;
    return update.total_bytes + update.weight_bytes - both + u->host_bytes;
}

fet_status fet__micro_create(fet__step *s, fet__model *m, fet__node *loss, const fet__step_options *o, int batch)
{
    fet__program_options program = {.whole = o->memory > 0, .check_finite = o->check_finite};
    struct fet__micro *u = NULL;
    fet_status st;

    FET_TRY(FET_NEW(u, 1));
    s->micro = u;
    u->graph = s->graph;
    s->graph = NULL;
    u->parts = batch / o->batch;
    u->image_values = (int64_t)m->arch.height * m->arch.width * fet__model_channels(m);
    u->host_bytes = batch * (u->image_values + 3) * (int64_t)sizeof(float);
    FET_TRY(add_sums(u, s));
    FET_TRY(add_gradients(u, s, loss));
    FET_TRY(build_update(u, s, m, o));
    FET_TRY(fet__program_create(&s->program, s->graph, &program));
    program.memory = o->memory;
    program.beside = o->beside + update_bytes(u, s);
    program.require_finite = "loss";
    FET_TRY(fet__program_create(&u->program, u->graph, &program));
    FET_TRY(take_batch(u, s, o, batch));
done:
    return st;
}

void fet__micro_destroy(struct fet__micro *u)
{
    if (!u)
        return;
    fet__program_destroy(u->program);
    fet__graph_destroy(u->graph);
    fet__params_destroy(u->store);
    fet__free(u->sum);
    fet__free(u->images);
    fet__free(u->own);
    fet__free(u->labels);
    fet__free(u->labels2);
    fet__free(u);
}

/* ---- a step ------------------------------------------------------------------------------------------------------------- */

static void feed_part(const fet__step *s, int part)
{
    const struct fet__micro *u = s->micro;
    size_t rows = (size_t)s->part, from = rows * (size_t)part;

    memcpy(u->of_part.images, u->images + from * (size_t)u->image_values,
           rows * (size_t)u->image_values * sizeof(float));
    memcpy(u->of_part.labels, u->labels + from, rows * sizeof(int32_t));
    if (u->of_part.labels2)
        memcpy(u->of_part.labels2, u->labels2 + from, rows * sizeof(int32_t));
    if (u->of_part.own)
        memcpy(u->of_part.own, u->own + from, rows * sizeof(float));
    if (u->of_part.step)
        *u->of_part.step = u->step;
    if (u->of_part.part)
        *u->of_part.part = part;
}

static void forget_sums(const fet__step *s)
{
    for (int i = 0; i < s->trainable; i++)
        memset(s->micro->sum[i]->data, 0, (size_t)s->micro->sum[i]->bytes);
}

fet_status fet__micro_compute(fet__step *s)
{
    struct fet__micro *u = s->micro;
    double loss = 0;
    int valid = 0;
    fet_status st = FET_OK;

    for (int i = 0; i < s->batch; i++)
        valid += u->labels[i] >= 0;
    forget_sums(s);
    *u->of_part.count = (float)(valid > 0 ? valid : 1);
    for (int part = 0; part < u->parts; part++) {
        feed_part(s, part);
        FET_TRY(fet__program_run(u->program));
        loss += (double)*u->of_part.loss;
    }
    u->loss = (float)loss;
    st = fet__program_run(s->program);
done:
    return st;
}

fet__program *fet__micro_program(const struct fet__micro *u)
{
    return u->program;
}

fet__program_info fet__micro_info(const fet__step *s)
{
    const struct fet__micro *u = s->micro;
    fet__program_info info = fet__program_describe(u->program), update = fet__program_describe(s->program);

    info.total_bytes += update.total_bytes + u->host_bytes;
    info.arena_bytes += update.arena_bytes + u->host_bytes;
    info.once_bytes += update.once_bytes;
    info.packed_bytes += update.packed_bytes;
    info.weight_bytes += update.weight_bytes;
    for (int i = 0; i < s->trainable; i++) /* both programs read these */
        info.weight_bytes -= s->params[i]->bytes + u->sum[i]->bytes;
    info.flops = info.flops * u->parts + update.flops;
    info.bytes_moved = info.bytes_moved * u->parts + update.bytes_moved;
    info.repeated_flops *= u->parts;
    info.steps = info.steps * u->parts + update.steps;
    return info;
}
