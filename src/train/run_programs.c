/* The two programs of a training run, held to its budget together with the loaders' batches: the step, and the evaluation beside it. What steps
 * are made of is step.c's. */
#include "train/train_int.h"

#include <string.h>

typedef struct run {
    fet__run_programs *p;
    fet__model *m;
    const fet__dataset *d;
    const fet__loop_options *o;
    const fet__run_state *s;
} run;

#define RING 3 /* batches that a loader holds */

static int64_t ring_bytes(const run *l, int64_t batch)
{
    return RING * batch * l->m->input.height * l->m->input.width * 3 * (int64_t)sizeof(float);
}

/* What is taken beside an evaluation of `batch` images: its loader, training and its loader. An evaluation counts weights and the program's own
 * memory itself. */
static int64_t beside_evaluation(const run *l, int64_t batch)
{
    fet__program_info train = fet__step_info(&l->p->step);
    int64_t bytes = ring_bytes(l, l->o->batch) + ring_bytes(l, batch) + train.total_bytes, model = 0;

    for (int i = 0; i < fet__params_count(l->m->store); i++)
        if (fet__params_at(l->m->store, i)->role != FET__STATE)
            model += fet__params_at(l->m->store, i)->bytes;
    bytes += train.weight_bytes > model ? train.weight_bytes - model : 0;
    return bytes + train.process_bytes - FET__PROCESS_BYTES;
}

/* The largest batch whose plan fits into what training leaves of the budget. Made before the first step: a run that could not
 * evaluate must not find out after its first epoch. */
static fet_status open_evaluation(run *l)
{
    fet__step_options o = {.batch = l->o->batch, .memory = l->s->memory};
    fet_status st = FET_OK;

    if (l->d->count[FET__VAL] == 0)
        return FET_OK;
    if (o.batch > l->d->count[FET__VAL])
        o.batch = l->d->count[FET__VAL];
    for (;;) {
        o.beside = beside_evaluation(l, o.batch);
        st = fet__step_create(&l->p->evaluation, l->m, &o);
        if (st != FET_E_NOMEM || o.batch == 1)
            break;
        o.batch = (o.batch + 1) / 2;
    }
    l->p->evaluation_batch = o.batch;
    if (st == FET_OK)
        return st;
    return fet__fail_in(st, "evaluation beside training");
}

/* The training program's plan, with the evaluation's memory and the loaders' in the total. */
static fet__program_info plan_of(const run *l)
{
    fet__program_info info = fet__step_info(&l->p->step);

    info.total_bytes += ring_bytes(l, l->o->batch);
    if (!l->p->evaluation.program)
        return info;
    info.total_bytes +=
        fet__program_describe(l->p->evaluation.program).total_bytes + ring_bytes(l, l->p->evaluation_batch);
    info.process_bytes += fet__program_describe(l->p->evaluation.program).process_bytes - FET__PROCESS_BYTES;
    return info;
}

/* Decoded images are kept in what the plans leave of the budget, and never in more than an eighth of what is free. */
static int64_t cache_bytes(const run *l)
{
    fet__program_info plan = plan_of(l);
    int64_t left = l->s->memory - plan.total_bytes - plan.weight_bytes - plan.process_bytes,
            most = fet__free_memory() / 8;

    left = left > 0 ? left / 2 : 0;
    return left < most ? left : most;
}

/* What evaluating image by image takes at least besides what training has anyway. */
static fet_status least_evaluation(run *l, int64_t *bytes)
{
    fet__step_options o = {.batch = 1, .memory = l->s->memory};
    fet__program_info info;
    fet__step s;
    fet_status st = fet__step_create(&s, l->m, &o);

    if (st != FET_OK)
        return st;
    info = fet__step_info(&s);
    *bytes = info.arena_bytes + info.once_bytes + info.process_bytes - FET__PROCESS_BYTES + ring_bytes(l, 1);
    fet__step_fini(&s);
    return FET_OK;
}

enum { MOST_TRIES = 5 };
#define MORE ((int64_t)1 << 18)

/* Training takes what it likes; where too little is left to evaluate, it is made again with less. Kernels without packed weights may want more
 * room than was reckoned with, so less and less. */
static fet_status open_steps(run *l, fet__step_options *o)
{
    int64_t least = 0;
    bool wanting;
    fet_status st;

    o->memory = l->s->memory;
    o->beside = ring_bytes(l, l->o->batch);
    FET_TRY(fet__step_create(&l->p->step, l->m, o));
    st = open_evaluation(l);
    wanting = st == FET_E_NOMEM;
    if (wanting)
        FET_TRY(least_evaluation(l, &least));
    for (int i = 0; i < MOST_TRIES && wanting; i++) {
        fet__step_fini(&l->p->step);
        o->beside = ring_bytes(l, l->o->batch) + least + i * (least / 8 + MORE);
        FET_TRY(fet__step_create(&l->p->step, l->m, o));
        st = open_evaluation(l);
        wanting = st == FET_E_NOMEM;
    }
done:
    return st;
}

fet_status fet__run_programs_open(fet__run_programs *out, fet__model *m, const fet__dataset *d,
                                  const fet__loop_options *o, fet__run_state *s)
{
    run r = {out, m, d, o, s};
    fet__step_options step = {.batch = o->batch,
                              .train = true,
                              .mix = fet__augment_mixes(o->augment),
                              .smoothing = o->smoothing,
                              .drop_path = o->drop_path,
                              .optimizer = &o->optimizer,
                              .parts = s->parts,
                              .check_finite = o->check_finite,
                              .seed = o->seed};
    fet_status st;

    memset(out, 0, sizeof *out);
    FET_TRY(open_steps(&r, &step));
    s->parts = o->batch / out->step.part;
    out->plan = plan_of(&r);
    out->cache_bytes = cache_bytes(&r);
    if (o->memory > 0 || out->plan.repeated > 0 || s->parts > 1)
        fet__note_budget(fet__step_program(&out->step), &out->plan, o->batch, s->parts, s->memory);
done:
    return st;
}

void fet__run_programs_close(fet__run_programs *p)
{
    fet__step_fini(&p->step);
    fet__step_fini(&p->evaluation);
}
