/* The workload r50-mabn: one episode of MABN, second order, on random pictures; `batch` support pictures and as many query pictures. */
#include "method/mabn_int.h"

static void fill(float *values, int64_t count, uint64_t seed, const char *name)
{
    for (int64_t i = 0; values && i < count; i++)
        values[i] = (float)fet__random_normal(seed, fet__hash32(name), 0, (uint64_t)i);
}

static void feed(fet__mabn_step *s, const fet__model *m, const fet_bench_options *o)
{
    int64_t count = (int64_t)o->batch * m->arch.height * m->arch.width * 3;

    fill(s->support[0], count, o->seed, "bench.support1");
    fill(s->support[1], count, o->seed, "bench.support2");
    fill(s->plain, count, o->seed, "bench.images");
    fill(s->view[0], count, o->seed, "bench.view1");
    fill(s->view[1], count, o->seed, "bench.view2");
    for (int i = 0; i < o->batch; i++)
        s->label[i] = (int32_t)(fet__random_u32(o->seed, fet__hash32("bench.labels"), 0, (uint64_t)i) %
                                (uint32_t)m->arch.classes);
    if (s->tau)
        *s->tau = 0.996F;
}

static fet_status run_steps(fet__mabn_step *s, const fet__optimizer_options *adam, int64_t first, int count,
                            double *seconds)
{
    fet_status st = FET_OK;

    for (int i = 0; i < count; i++) {
        double begun = fet__now();

        fet__optimizer_bind(adam, s->program, first + i, 3e-5);
        FET_TRY(fet__program_run(s->program));
        if (seconds)
            seconds[i] = fet__now() - begun;
    }
done:
    return st;
}

fet_status fet__bench_mabn(const fet_bench_options *o, const fet__workload *w, fet_bench_result *out, char **text)
{
    fet__episode_options episode = {.inner_lr = 3e-4, .lambda = 0.1, .inner_steps = 1, .second_order = true};
    fet__optimizer_options adam = fet__optimizer_defaults();
    fet_model_options arch = {.arch = w->arch};
    fet__mabn_step step = {0};
    fet__model *m = NULL;
    double *seconds = NULL;
    fet__mabn a;
    fet_status st;

    adam.kind = FET__ADAM;
    adam.weight_decay = 0;
    if (!o->train)
        return FET_FAIL(FET_E_ARG, "workload '%s' is a training step: --mode train", w->name);
    FET_TRY(fet__model_open_with(&m, "none", &arch, o->seed));
    FET_TRY(fet__mabn_init(&a, m, 4096, 256));
    a.net.target = FET__TARGET_ONLINE; /* as the peer has it */
    FET_TRY(fet__mabn_meta_create(&step, &a, o->batch, o->batch, &episode, &adam, fet__budget(o->memory)));
    FET_TRY(FET_NEW(seconds, o->steps));
    feed(&step, m, o);
    FET_TRY(run_steps(&step, &adam, 0, o->warmup, NULL));
    fet__program_profile(step.program, o->profile != 0);
    FET_TRY(run_steps(&step, &adam, o->warmup, o->steps, seconds));
    fet__bench_fill(out, step.program, 1, seconds, o->steps, 2 * o->batch);
    if (text && o->profile)
        FET_TRY(fet__bench_profile(step.program, text));
done:
    fet__free(seconds);
    fet__mabn_step_fini(&step);
    fet__model_close(m);
    return st;
}
