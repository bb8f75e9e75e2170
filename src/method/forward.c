/* Running an opened model over pictures: the evaluation program, kept between calls, and the loop over batches. */
#include "method/method_int.h"

#include <string.h>

fet_status fet__model_program(fet_model *m, int batch, int64_t memory)
{
    fet__step_options o = {.batch = batch, .memory = memory};
    fet_status st;

    if (m->step_batch == batch)
        return FET_OK;
    fet__step_fini(&m->step);
    m->step_batch = 0;
    st = fet__step_create(&m->step, m->m, &o);
    if (st == FET_OK)
        m->step_batch = batch;
    return st;
}

/* The pictures may be of other classes than the model's: who asks for logits or features does not ask for a loss. */
static void leave_out_foreign(fet__batch *b, int classes)
{
    int i;

    for (i = 0; i < b->count; i++)
        if (b->labels[i] >= classes)
            b->labels[i] = -1;
}

/* The loader puts the next readable picture where one cannot be read; in an ordered pass that place is left out instead. */
static void leave_out_replaced(fet__batch *b, int batch)
{
    int i;

    for (i = 0; i < b->count; i++)
        if (b->index[i] != b->step * batch + i)
            b->labels[i] = b->index[i] = -1;
}

static fet_status run(fet_model *m, fet__loader *loader, int batch, fet__batch *own, fet__forward_fn fn, void *user)
{
    int64_t values = (int64_t)m->m->input.height * m->m->input.width * 3;
    const fet__batch *b;
    fet_status st;

    FET_TRY(fet__loader_start(loader, 0, 0));
    for (;;) {
        FET_TRY(fet__loader_next(loader, &b));
        if (!b)
            return FET_OK;
        own->count = b->count;
        own->step = b->step;
        own->images = b->images;
        memcpy(own->labels, b->labels, (size_t)batch * sizeof *b->labels);
        memcpy(own->index, b->index, (size_t)batch * sizeof *b->index);
        leave_out_replaced(own, batch);
        leave_out_foreign(own, m->m->arch.classes);
        fet__step_feed(&m->step, own, batch, values);
        FET_TRY(fet__step_compute(&m->step));
        FET_TRY(fn(user, own, &m->step));
    }
done:
    return st;
}

fet_status fet__forward(fet_model *m, const fet__sample *samples, int count, const fet__forward_options *o,
                        fet__forward_fn fn, void *user)
{
    fet__loader_options options = {.preprocess = fet__model_preprocess(m->m), .strict = o->strict};
    fet__loader *loader = NULL;
    fet__batch own = {0};
    fet_status st;

    /* A program for more pictures than there are takes them too: a second call with a few does not plan anew. */
    options.batch = o->batch < count ? o->batch : count;
    if (m->step_batch > options.batch && m->step_batch <= o->batch)
        options.batch = m->step_batch;
    FET_TRY(fet__model_program(m, options.batch, fet__budget(o->memory)));
    FET_TRY(FET_NEW(own.labels, options.batch));
    FET_TRY(FET_NEW(own.index, options.batch));
    FET_TRY(fet__loader_create(&loader, samples, count, &options));
    FET_TRY(run(m, loader, options.batch, &own, fn, user));
done:
    fet__loader_destroy(loader);
    fet__free(own.labels);
    fet__free(own.index);
    return st;
}
