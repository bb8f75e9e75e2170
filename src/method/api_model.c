/* fet_model: opening, attaching, looking, saving. Running one is in forward.c and predict.c, merging in merge_check.c. */
#include "method/method_int.h"

#include <math.h>
#include <string.h>

static fet_status parse_three(const char *text, const char *what, float out[3])
{
    char *copy = fet__strdup(text), *piece, *save = NULL;
    int n = 0;
    bool good = copy != NULL;

    for (piece = copy ? strtok_r(copy, ",", &save) : NULL; good && piece; piece = strtok_r(NULL, ",", &save)) {
        double v;
        good = n < 3 && fet__parse_double(piece, &v) && fabs(v) <= 1e6;
        if (good)
            out[n++] = (float)v;
    }
    fet__free(copy);
    if (!copy)
        return FET_E_NOMEM;
    if (!good || n != 3)
        return FET_FAIL(FET_E_ARG, "%s '%s' is not three numbers such as 0.5,0.5,0.5", what, fet__show(text));
    return FET_OK;
}

static fet_status check_triples(const fet__model_options *o)
{
    int i;

    for (i = 0; i < 3; i++) {
        if (o->mean && !isfinite(o->mean[i]))
            return FET_FAIL(FET_E_ARG, "mean holds a value that is not finite");
        if (o->std && !(o->std[i] > 0 && o->std[i] <= 1e6f))
            return FET_FAIL(FET_E_ARG, "std holds %g; deviations are above 0", (double)o->std[i]);
    }
    return FET_OK;
}

fet_status fet__model_options_from(fet__model_options *out, const fet_model_options *o, uint64_t seed, float values[6])
{
    static const fet_model_options none;
    fet_status st = FET_OK;

    o = o ? o : &none;
    *out = (fet__model_options){.arch = o->arch,
                                .mean = o->mean,
                                .std = o->std,
                                .interpolation = o->interpolation,
                                .image = o->image,
                                .weights = o->weights,
                                .seed = seed};
    if (!out->mean && o->mean_text) {
        FET_TRY(parse_three(o->mean_text, "mean", values));
        out->mean = values;
    }
    if (!out->std && o->std_text) {
        FET_TRY(parse_three(o->std_text, "std", values + 3));
        out->std = values + 3;
    }
    FET_TRY(check_triples(out));
    if (!(o->crop_pct <= 1))
        return FET_FAIL(FET_E_ARG, "crop_pct %g is not in (0, 1]", o->crop_pct);
    out->crop_pct = o->crop_pct > 0 ? o->crop_pct : o->crop_pct < 0 ? 0 : -1;
    if (o->image < 0 || o->image > 16384)
        return FET_FAIL(FET_E_ARG, "image size %d is not in 1..16384", o->image);
    if (o->classes < 0)
        return FET_FAIL(FET_E_ARG, "%d classes", o->classes);
done:
    return st;
}

fet_status fet__model_open_with(fet__model **out, const char *path, const fet_model_options *o, uint64_t seed)
{
    fet__model_options options;
    fet__model *m = NULL;
    float values[6] = {0};
    bool fresh;
    fet_status st;

    *out = NULL;
    if (!path || !path[0])
        return FET_FAIL(FET_E_ARG, "a model is needed: a checkpoint, a RUN folder, or none");
    FET_TRY(fet__model_options_from(&options, o, seed, values));
    FET_TRY(fet__model_open(&m, path, &options));
    if (o && o->classes && strcmp(path, "none") == 0)
        FET_TRY(fet__model_set_classes(m, o->classes, NULL, &fresh));
    *out = m;
    m = NULL;
done:
    fet__model_close(m);
    return st;
}

fet_status fet__model_changed(fet_model *m)
{
    fet__text t = {0};

    fet__step_fini(&m->step);
    m->step_batch = 0;
    m->m->arch.class_->print(&m->m->arch, &t);
    fet__free(m->arch);
    m->arch = t.failed ? NULL : fet__strdup(t.s ? t.s : "");
    fet__text_fini(&t);
    return m->arch ? FET_OK : FET_E_NOMEM;
}

fet_status fet_model_open(fet_model **out, const char *path, const fet_model_options *options)
{
    fet_model *m = NULL;
    fet_status st;

    if (!out)
        return FET_FAIL(FET_E_ARG, "fet_model_open: no place for the model");
    *out = NULL;
    FET_TRY(FET_NEW(m, 1));
    FET_TRY(fet__model_open_with(&m->m, path, options, options ? options->seed : 0));
    FET_TRY(fet__model_changed(m));
    *out = m;
    m = NULL;
done:
    fet_model_close(m);
    return st;
}

void fet_model_close(fet_model *m)
{
    if (!m)
        return;
    fet__step_fini(&m->step);
    fet__model_close(m->m);
    fet__free(m->arch);
    fet__free(m->merged);
    fet__free(m);
}

fet_status fet_model_attach(fet_model *m, const char *path)
{
    fet_status st;

    if (!m || !path)
        return FET_FAIL(FET_E_ARG, "fet_model_attach: model or path is absent");
    FET_TRY(fet__model_attach_file(m->m, path));
    FET_TRY(fet__model_changed(m));
done:
    return st;
}

const char *fet_model_arch(const fet_model *m)
{
    return m->arch;
}

int fet_model_class_count(const fet_model *m)
{
    return m->m->arch.classes;
}

const char *fet_model_class_name(const fet_model *m, int i)
{
    return i >= 0 && i < m->m->class_count ? m->m->classes[i] : NULL;
}

int64_t fet_model_parameters(const fet_model *m)
{
    return fet__model_parameters(m->m, false);
}

int64_t fet_model_feature_size(const fet_model *m)
{
    return m->m->arch.feature_size;
}

fet_status fet_model_save(fet_model *m, const char *path)
{
    fet__meta_pair more = {"fettle.merged", NULL};

    if (!m || !path)
        return FET_FAIL(FET_E_ARG, "fet_model_save: model or path is absent");
    if (m->unproved)
        return FET_FAIL(FET_E_VERIFY,
                        "the merged model differs from the adapted one beyond the tolerance: it is not saved");
    if (m->m->adapter)
        return FET_FAIL(FET_E_ARG, "adapter '%s' is attached: merge it before the model is saved",
                        m->m->adapter->class_->name);
    more.value = m->merged;
    return fet__model_save(m->m, path, &more, m->merged ? 1 : 0);
}

void fet_free(void *p)
{
    fet__free(p);
}
