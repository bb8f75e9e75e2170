/* The workload r50-spcl: SpCL's training step without a source, on random pictures: the re-identification ResNet-50 at 256 x 128 and a memory of
 * 16,384 rows in a thousand classes, as the peer has it. */
#include "method/reid_int.h"

enum { ROWS = 16384, CLASSES = 1000, HEIGHT = 256, WIDTH = 128 };

static int32_t below(uint64_t seed, const char *stream, int64_t i, uint32_t limit)
{
    return (int32_t)(fet__random_u32(seed, fet__hash32(stream), 0, (uint64_t)i) % limit);
}

static fet_status open_encoder(fet__model **out, const fet_bench_options *o, const fet__workload *w)
{
    fet__encoder_options encoder = {.last_stride = 1, .pool = "mean"};
    fet_model_options arch = {.arch = w->arch};
    fet_status st;

    FET_TRY(fet__model_open_with(out, "none", &arch, o->seed));
    FET_TRY(fet__model_encoder(*out, &encoder));
    (*out)->input.height = HEIGHT;
    (*out)->input.width = WIDTH;
    FET_TRY((*out)->arch.class_->resize(&(*out)->arch, (*out)->store, HEIGHT, WIDTH));
    st = fet__model_attach(*out, "full");
done:
    return st;
}

/* Rows of unit length: what a memory holds. */
static void fill_memory(float *memory, int64_t width, uint64_t seed)
{
    for (int64_t i = 0; i < ROWS; i++) {
        float *row = memory + i * width;

        for (int64_t c = 0; c < width; c++)
            row[c] = (float)fet__random_normal(seed, fet__hash32("bench.memory"), 0, (uint64_t)(i * width + c));
        fet__bench_unit(row, width);
    }
}

static fet_status feed(fet__spcl_step *s, const fet_bench_options *o)
{
    int64_t values = (int64_t)o->batch * HEIGHT * WIDTH * 3, classes;
    int32_t *label = NULL;
    fet_status st;

    FET_TRY(FET_NEW(label, ROWS));
    for (int64_t i = 0; i < values; i++)
        s->base.images[i] = (float)fet__random_normal(o->seed, fet__hash32("bench.images"), 0, (uint64_t)i);
    fill_memory((float *)s->memory->data, s->memory->shape.dim[1], o->seed);
    for (int64_t i = 0; i < ROWS; i++)
        label[i] = below(o->seed, "bench.labels", i, CLASSES);
    FET_TRY(fet__spcl_step_labels(s, label, ROWS, &classes));
    for (int i = 0; i < o->batch; i++) {
        int32_t row = below(o->seed, "bench.rows", i, ROWS);

        fet__spcl_step_rows(s, i, &row, 1);
    }
done:
    fet__free(label);
    return st;
}

static fet_status run_steps(fet__spcl_step *s, const fet__optimizer_options *adam, int64_t first, int count,
                            double *seconds)
{
    fet_status st = FET_OK;

    for (int i = 0; i < count; i++) {
        double begun = fet__now();

        if (s->base.step)
            *s->base.step = (int32_t)(first + i);
        fet__optimizer_bind(adam, s->base.program, first + i, 3.5e-4);
        FET_TRY(fet__step_compute(&s->base));
        if (seconds)
            seconds[i] = fet__now() - begun;
    }
done:
    return st;
}

fet_status fet__bench_spcl(const fet_bench_options *o, const fet__workload *w, fet_bench_result *out, char **text)
{
    fet__optimizer_options adam = fet__optimizer_defaults();
    fet__spcl_step_options options = {.batch = o->batch,
                                      .rows = ROWS,
                                      .temperature = 0.05,
                                      .momentum = 0.2,
                                      .optimizer = &adam,
                                      .memory = fet__budget(o->memory)};
    fet__spcl_step step = {0};
    fet__model *m = NULL;
    double *seconds = NULL;
    fet_status st;

    adam.kind = FET__ADAM;
    adam.weight_decay = 5e-4;
    if (!o->train)
        return FET_FAIL(FET_E_ARG, "workload '%s' is a training step: --mode train", w->name);
    FET_TRY(open_encoder(&m, o, w));
    FET_TRY(fet__spcl_step_create(&step, m, &options));
    FET_TRY(FET_NEW(seconds, o->steps));
    FET_TRY(feed(&step, o));
    FET_TRY(run_steps(&step, &adam, 0, o->warmup, NULL));
    fet__program_profile(step.base.program, o->profile != 0);
    FET_TRY(run_steps(&step, &adam, o->warmup, o->steps, seconds));
    fet__bench_fill(out, step.base.program, 1, seconds, o->steps, o->batch);
    if (text && o->profile)
        FET_TRY(fet__bench_profile(step.base.program, text));
done:
    fet__free(seconds);
    fet__spcl_step_fini(&step);
    fet__model_close(m);
    return st;
}
