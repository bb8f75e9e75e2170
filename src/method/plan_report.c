/* fet_plan: the plan of a step or of inference, before anything runs. */
#include "method/method_int.h"

#include <string.h>

#define PEAK_SECONDS 0.2

static fet_status open_model(fet__model **m, const fet_tune_options *o, int train)
{
    fet__dataset d = {0};
    fet__dataset_options options;
    bool fresh;
    fet_status st;

    FET_TRY(fet__model_open_with(m, o->model, &o->model_options, o->seed));
    if (o->data) {
        FET_TRY(fet__data_options_from(&options, &o->data_options));
        FET_TRY(fet__dataset_open(&d, o->data, &options));
        FET_TRY(fet__model_set_classes(*m, d.class_count, (const char *const *)d.classes, &fresh));
    }
    if (train || o->adapter)
        FET_TRY(fet__model_attach(*m, o->adapter ? o->adapter : "full"));
done:
    fet__dataset_fini(&d);
    return st;
}

static fet_status step_options(fet__step_options *out, fet__optimizer_options *optimizer, const fet_tune_options *o,
                               int train)
{
    fet__augment_plan augment;
    fet_status st = fet__augment_parse(&augment, o->augment, 0, 0);

    if (st != FET_OK)
        return st;
    *optimizer = fet__optimizer_defaults();
    if (!fet__optimizer_parse(o->optimizer, optimizer))
        return FET_FAIL(FET_E_BUG, "optimizer '%s' slipped through the checks", o->optimizer);
    optimizer->clip = o->clip;
    optimizer->average = o->ema;
    optimizer->amsgrad = o->amsgrad;
    optimizer->momentum = optimizer->kind == FET__SGD ? o->momentum : 0;
    *out = (fet__step_options){.batch = o->batch,
                               .train = train != 0,
                               .mix = train && fet__augment_mixes(&augment),
                               .smoothing = o->smoothing,
                               .drop_path = o->drop_path,
                               .optimizer = train ? optimizer : NULL,
                               .memory = fet__budget(o->memory),
                               .seed = o->seed};
    return FET_OK;
}

/* As much of the list as there is room for. */
static void name_layers(fet_plan_report *r, const fet__step *s)
{
    fet__text t = {0};

    if (fet__program_repeats(fet__step_program(s), &t) == FET_OK && t.s)
        snprintf(r->repeated_layers, sizeof r->repeated_layers, "%s", t.s);
    if (t.length >= sizeof r->repeated_layers)
        memcpy(r->repeated_layers + sizeof r->repeated_layers - 4, "...", 4);
    fet__text_fini(&t);
}

static void fill(fet_plan_report *r, const fet__step *s, const fet__model *m, int batch)
{
    fet__program_info info = fet__step_info(s);
    double peak = fet__machine_peak(FET_F32, PEAK_SECONDS);

    *r = (fet_plan_report){.total_bytes = info.total_bytes + info.weight_bytes + info.process_bytes,
                           .arena_bytes = info.arena_bytes,
                           .weight_bytes = info.weight_bytes,
                           .packed_bytes = info.packed_bytes + info.once_bytes,
                           .floor_bytes = info.floor_bytes,
                           .trainable = s->trainable_values,
                           .parameters = fet__model_parameters(m, false),
                           .gflops_per_image = info.flops / batch / 1e9,
                           .seconds_per_step = peak > 0 ? info.flops / (peak * 1e9) : 0,
                           .steps = info.steps,
                           .process_bytes = info.process_bytes,
                           .parts = s->micro ? batch / s->part : 1,
                           .repeated = info.repeated,
                           .repeated_share = info.flops > 0 ? info.repeated_flops / info.flops : 0};
    name_layers(r, s);
}

static fet_status print(const fet__step *s, int steps, char **out)
{
    fet__text t = {0};
    fet_status st;

    FET_TRY(fet__program_print(fet__step_program(s), &t, steps != 0));
    *out = t.failed ? NULL : fet__strdup(t.s ? t.s : "");
    if (!*out)
        st = FET_FAIL(FET_E_NOMEM, "no memory for the plan's text");
done:
    fet__text_fini(&t);
    return st;
}

fet_status fet_plan(const fet_tune_options *o, int train, int steps, fet_plan_report *report, char **text)
{
    fet_tune_options own;
    fet__optimizer_options optimizer;
    fet__step_options options;
    fet__step step = {0};
    fet__model *m = NULL;
    fet_status st;

    if (!o || !report)
        return FET_FAIL(FET_E_ARG, "fet_plan: options or report is absent");
    memset(report, 0, sizeof *report);
    if (text)
        *text = NULL;
    own = *o;
    FET_TRY(fet__tune_check(&own));
    FET_TRY(open_model(&m, &own, train));
    FET_TRY(step_options(&options, &optimizer, &own, train));
    FET_TRY(fet__step_create(&step, m, &options));
    fill(report, &step, m, own.batch);
    if (text)
        FET_TRY(print(&step, steps, text));
done:
    fet__step_fini(&step);
    fet__model_close(m);
    return st;
}
