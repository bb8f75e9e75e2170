/* fet_evaluate_tta: an evaluation whose norms follow the entropy of what it sees, batch by batch, and the guard that stops it where all
 * pictures become one class. */
#include "method/mabn_int.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct tta {
    bool batch_statistics, guarded;
    double lr;
    fet__model *m;
    fet__norm_copy start;
    fet__optimizer_options optimizer;
    fet__collapse_guard guard;
    fet__class_metrics *metrics;
    fet__views *views;
    fet__sample *samples; /* in the order in which they come */
    uint64_t seed;
    fet_tta_result *how;
} tta;

/* ---- options ---------------------------------------------------------------------------------------------------------- */

static fet_status set_option(tta *t, const char *key, const char *value)
{
    if (strcmp(key, "stats") == 0) {
        t->batch_statistics = strcmp(value, "batch") == 0;
        if (!t->batch_statistics && strcmp(value, "source") != 0)
            return FET_FAIL(FET_E_ARG, "tta: stats=%s is neither source nor batch", fet__show(value));
    } else if (strcmp(key, "lr") == 0) {
        if (!fet__parse_double(value, &t->lr) || !(t->lr >= 0))
            return FET_FAIL(FET_E_ARG, "tta: lr=%s is no rate", fet__show(value));
    } else if (strcmp(key, "guard") == 0) {
        if (!fet__parse_bool(value, &t->guarded))
            return FET_FAIL(FET_E_ARG, "tta: guard=%s is neither true nor false", fet__show(value));
    } else {
        return FET_FAIL(FET_E_ARG, "tta: unknown option '%s' (stats, lr, guard)", fet__show(key));
    }
    return FET_OK;
}

static fet_status parse(tta *t, const char *text)
{
    char *copy = fet__strdup(text), *save = NULL, *word;
    fet_status st = copy ? FET_OK : FET_E_NOMEM;

    t->lr = 1e-3;
    t->guarded = true;
    word = copy ? strtok_r(copy, ":", &save) : NULL;
    if (st == FET_OK && (!word || strcmp(word, "tent") != 0))
        st = FET_FAIL(FET_E_ARG, "tta '%s': tent, or tent:stats=source|batch,lr=X,guard=true|false", fet__show(text));
    for (word = st == FET_OK ? strtok_r(NULL, ",", &save) : NULL; word && st == FET_OK;
         word = strtok_r(NULL, ",", &save)) {
        char *value = strchr(word, '=');
        if (!value) {
            st = FET_FAIL(FET_E_ARG, "tta: '%s' is no option=value", fet__show(word));
            break;
        }
        *value++ = '\0';
        st = set_option(t, word, value);
    }
    fet__free(copy);
    return st;
}

/* ---- batches ---------------------------------------------------------------------------------------------------------- */

static void guard(tta *t, const float *logits, int rows)
{
    if (!t->guarded || t->how->stopped)
        return;
    fet__collapse_guard_add(&t->guard, logits, rows);
    if (!t->guard.tripped)
        return;
    t->how->stopped = 1;
    fet__norm_copy_restore(&t->start);
    fet__warn(
        "the predicted classes lost more than half of their diversity (%.2f, at first %.2f): adaptation stops and "
        "the norms are what they were",
        t->guard.now, t->guard.first);
}

/* Batches first, first + 1, ... of `size` pictures, as long as they are whole. */
static fet_status run_batches(tta *t, const fet__sample *samples, int64_t first, int count, int size)
{
    fet__mabn_step s = {0};
    int32_t *index = NULL, *label = NULL;
    fet_status st;

    FET_TRY(FET_NEW(index, size));
    FET_TRY(FET_NEW(label, size));
    FET_TRY(fet__mabn_tent_create(&s, t->m, size, t->batch_statistics, &t->optimizer, fet__budget(0)));
    for (int64_t at = first; at + size <= count; at += size) {
        const float *logits = fet__program_output(s.program, "logits");
        for (int i = 0; i < size; i++) {
            index[i] = (int32_t)(at + i);
            label[i] = samples[at + i].label;
        }
        FET_TRY(fet__views_make(t->views, index, size, 0, s.plain, NULL, NULL));
        /* A rate of 0 predicts and changes nothing. */
        fet__optimizer_bind(&t->optimizer, s.program, t->how->batches, t->how->stopped ? 0 : t->lr);
        FET_TRY(fet__program_run(s.program));
        t->how->batches++;
        t->how->adapted += !t->how->stopped;
        FET_TRY(fet__class_metrics_add(t->metrics, logits, label, size));
        guard(t, logits, size);
    }
done:
    fet__mabn_step_fini(&s);
    fet__free(index);
    fet__free(label);
    return st;
}

/* In random order: a folder's pictures come class by class, and a batch of one class teaches to predict nothing else. */
static fet_status shuffle(fet__sample **out, const fet__sample *samples, int count, uint64_t seed)
{
    fet__rng r = {.seed = seed, .stream = fet__hash32("tta")};
    int32_t *order = NULL;
    fet_status st;

    FET_TRY(FET_NEW(order, count));
    FET_TRY(FET_NEW(*out, count));
    for (int i = 0; i < count; i++)
        order[i] = i;
    fet__rng_shuffle(&r, order, count);
    for (int i = 0; i < count; i++)
        (*out)[i] = samples[order[i]];
done:
    fet__free(order);
    return st;
}

static fet_status run(tta *t, const fet__dataset *d, fet__split split, int batch)
{
    fet__views_options vo = {.preprocess = fet__model_preprocess(t->m), .bands = fet__bands_read};
    int count = d->count[split], rest = count % batch;
    fet_status st;

    if (count == 0)
        return FET_FAIL(FET_E_DATA, "%s: split %s has no pictures", fet__show(d->root), fet__split_name(split));
    FET_TRY(shuffle(&t->samples, d->samples[split], count, t->seed));
    FET_TRY(fet__views_create(&t->views, t->samples, count, &vo));
    if (count >= batch)
        FET_TRY(run_batches(t, t->samples, 0, count, batch));
    if (rest)
        FET_TRY(run_batches(t, t->samples, count - rest, count, rest));
done:
    return st;
}

static void drop_states(fet__params *store)
{
    for (int i = fet__params_count(store) - 1; i >= 0; i--)
        if (fet__params_at(store, i)->role == FET__STATE)
            fet__params_remove(store, fet__params_at(store, i));
}

static fet_status evaluate(tta *t, const fet__dataset *d, fet__split split, int batch, fet_eval_result *out)
{
    fet__class_result r;
    fet_status st;

    t->optimizer = fet__optimizer_defaults();
    t->optimizer.kind = FET__ADAM;
    t->optimizer.weight_decay = 0;
    FET_TRY(fet__norm_copy_take(&t->start, t->m->store, false));
    FET_TRY(fet__collapse_guard_init(&t->guard, t->m->arch.classes));
    FET_TRY(fet__class_metrics_create(&t->metrics, t->m->arch.classes));
    FET_TRY(run(t, d, split, batch));
    fet__class_metrics_result(t->metrics, &r);
    *out = (fet_eval_result){r.top1, r.top5, r.macro_f1, r.loss, r.images, 0};
    t->how->diversity = t->guard.now >= 0 ? t->guard.now : (double)NAN;
    t->how->first = t->guard.first >= 0 ? t->guard.first : (double)NAN;
done:
    fet__norm_copy_restore(&t->start); /* the model is as it was before */
    drop_states(t->m->store);
    fet__norm_copy_fini(&t->start);
    fet__collapse_guard_fini(&t->guard);
    fet__class_metrics_destroy(t->metrics);
    fet__views_destroy(t->views);
    fet__free(t->samples);
    return st;
}

fet_status fet_evaluate_tta(fet_model *m, const char *data, const char *split, const fet_data_options *o, int batch,
                            const char *how, fet_eval_result *out, fet_tta_result *result)
{
    tta t = {.m = m ? m->m : NULL, .how = result, .seed = o ? o->seed : 0};
    fet__dataset d = {0};
    fet__dataset_options options;
    fet__split s = FET__VAL;
    fet_status st;

    if (!m || !data || !how || !out || !result)
        return FET_FAIL(FET_E_ARG, "fet_evaluate_tta: model, data, tta or a result is absent");
    memset(out, 0, sizeof *out);
    memset(result, 0, sizeof *result);
    FET_TRY(parse(&t, how));
    if (m->m->arch.classes == 0)
        return FET_FAIL(FET_E_ARG, "%s: the model has no head, so it cannot be evaluated", fet__show(m->m->path));
    if (split)
        FET_TRY(fet__split_parse(split, &s));
    FET_TRY(fet__data_options_from(&options, o));
    options.known = true;
    options.domains = o ? o->domains : NULL;
    if (m->m->class_count) {
        options.model_classes = (const char *const *)m->m->classes;
        options.model_class_count = m->m->class_count;
    }
    FET_TRY(fet__dataset_open(&d, data, &options));
    if (d.class_count > m->m->arch.classes) {
        st = FET_FAIL(FET_E_DATA, "%s: it has %d classes, but the head has %d outputs", fet__show(d.root),
                      d.class_count, m->m->arch.classes);
        goto done;
    }
    fet__model_take_data_options(m->m, o);
    FET_TRY(evaluate(&t, &d, s, batch > 0 ? batch : 64, out));
    st = fet__model_changed(m);
done:
    fet__dataset_fini(&d);
    return st;
}
