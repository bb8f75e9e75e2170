/* Files of an SpCL run: the JSON part of its state, run.json, log.csv. Tensors are checkpoint.c's. */
#include "train/spcl_int.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static json_t *real(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static double real_from(const json_t *j, const char *key)
{
    const json_t *v = json_object_get(j, key);

    return json_is_number(v) ? json_number_value(v) : (double)NAN;
}

static int64_t integer_from(const json_t *j, const char *key)
{
    return (int64_t)json_integer_value(json_object_get(j, key));
}

static json_t *scores_object(const fet__spcl_scores *s)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:I}", "map", real(s->map), "rank1", real(s->rank1), "rank5", real(s->rank5),
                     "rank10", real(s->rank10), "queries", (json_int_t)s->queries);
}

static fet__spcl_scores scores_from(const json_t *j)
{
    return (fet__spcl_scores){real_from(j, "map"), real_from(j, "rank1"), real_from(j, "rank5"), real_from(j, "rank10"),
                              integer_from(j, "queries")};
}

static json_t *labels_object(const fet__spcl_labels *l)
{
    return json_pack("{s:I, s:I, s:I, s:o, s:o, s:o}", "clusters", (json_int_t)l->clusters, "outliers",
                     (json_int_t)l->outliers, "dropped", (json_int_t)l->dropped, "threshold", real(l->threshold),
                     "purity", real(l->purity), "pair_f1", real(l->pair_f1));
}

static fet__spcl_labels labels_from(const json_t *j)
{
    return (fet__spcl_labels){integer_from(j, "clusters"), integer_from(j, "outliers"), integer_from(j, "dropped"),
                              real_from(j, "threshold"),   real_from(j, "purity"),      real_from(j, "pair_f1")};
}

/* ---- state ---------------------------------------------------------------------------------------------------------- */

static json_t *state_object(const fet__spcl_state *s)
{
    json_t *j = json_object();

    json_object_set_new(j, "spcl", json_integer(1));
    json_object_set_new(j, "step", json_integer(s->step));
    json_object_set_new(j, "epoch", json_integer(s->epoch));
    json_object_set_new(j, "epoch_step", json_integer(s->epoch_step));
    json_object_set_new(j, "loss_sum", json_real(s->loss_sum));
    json_object_set_new(j, "source_loss_sum", json_real(s->source_loss_sum));
    json_object_set_new(j, "last_loss", real(s->last_loss));
    json_object_set_new(j, "seconds", json_real(s->seconds));
    json_object_set_new(j, "last", scores_object(&s->last));
    json_object_set_new(j, "best", scores_object(&s->best));
    json_object_set_new(j, "best_epoch", json_integer(s->best_epoch));
    json_object_set_new(j, "labels", labels_object(&s->epoch_labels));
    json_object_set_new(j, "alpha", s->threshold.known ? json_real((double)s->threshold.alpha) : json_null());
    json_object_set_new(j, "log_bytes", json_integer(s->log_bytes));
    json_object_set_new(j, "memory", json_integer(s->memory));
    json_object_set_new(j, "threads", json_integer(s->threads));
    json_object_set_new(j, "batch", json_integer(s->batch));
    return j;
}

fet_status fet__spcl_state_write(const fet__spcl_run *r)
{
    json_t *j = state_object(&r->s);
    char *text = json_dumps(j, JSON_COMPACT | JSON_REAL_PRECISION(17));
    fet_status st = text ? fet__state_write(r->folder.state, r->m->store, text)
                         : FET_FAIL(FET_E_NOMEM, "no memory for the state of the run");

    free(text);
    json_decref(j);
    return st;
}

static fet_status state_from(fet__spcl_run *r, const char *text)
{
    json_t *j = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    double alpha = real_from(j, "alpha");
    fet_status st = FET_OK;

    if (!j || integer_from(j, "spcl") != 1 || integer_from(j, "step") < 0 || integer_from(j, "epoch") < 0 ||
        integer_from(j, "epoch_step") < 0 || integer_from(j, "batch") < 1 || integer_from(j, "log_bytes") < 0)
        st = FET_FAIL(FET_E_FORMAT, "%s: not the state of a run of `reid train` (metadata fettle.state)",
                      fet__show(r->folder.state));
    else
        r->s = (fet__spcl_state){.step = integer_from(j, "step"),
                                 .epoch = integer_from(j, "epoch"),
                                 .epoch_step = integer_from(j, "epoch_step"),
                                 .loss_sum = real_from(j, "loss_sum"),
                                 .source_loss_sum = real_from(j, "source_loss_sum"),
                                 .last_loss = real_from(j, "last_loss"),
                                 .seconds = real_from(j, "seconds"),
                                 .last = scores_from(json_object_get(j, "last")),
                                 .best = scores_from(json_object_get(j, "best")),
                                 .best_epoch = integer_from(j, "best_epoch"),
                                 .epoch_labels = labels_from(json_object_get(j, "labels")),
                                 .threshold = {isfinite(alpha), isfinite(alpha) ? (float)alpha : 0},
                                 .log_bytes = integer_from(j, "log_bytes"),
                                 .memory = integer_from(j, "memory"),
                                 .threads = (int)integer_from(j, "threads"),
                                 .batch = (int)integer_from(j, "batch")};
    json_decref(j);
    return st;
}

static fet_status read_state(fet__spcl_run *r, fet__params *store)
{
    char *text = NULL;
    fet_status st;

    FET_TRY(fet__state_read(r->folder.state, store, &text));
    st = state_from(r, text);
done:
    fet__free(text);
    return st;
}

fet_status fet__spcl_state_peek(fet__spcl_run *r)
{
    return read_state(r, NULL);
}

fet_status fet__spcl_state_read(fet__spcl_run *r)
{
    return read_state(r, r->m->store);
}

/* ---- run.json ------------------------------------------------------------------------------------------------------- */

static json_t *model_object(fet__model *m, const char *fingerprint)
{
    fet__text arch = {0};
    json_t *j = json_object();

    m->arch.class_->print(&m->arch, &arch);
    json_object_set_new(j, "path", json_string(fet__show(m->path)));
    json_object_set_new(j, "arch", json_string(arch.s ? arch.s : ""));
    json_object_set_new(j, "fingerprint", json_string(fingerprint));
    json_object_set_new(j, "parameters", json_integer(fet__model_parameters(m, false)));
    json_object_set_new(j, "trainable", json_integer(fet__model_parameters(m, true)));
    fet__text_fini(&arch);
    return j;
}

static json_t *machine_object(const fet__spcl_run *r)
{
    fet__program_info info = fet__program_describe(r->step.base.program);
    json_int_t planned = info.total_bytes + info.weight_bytes + info.process_bytes;

    return json_pack("{s:s, s:s, s:s, s:i, s:I, s:I, s:i}", "fettle", FETTLE_VERSION, "kernels", fet__machine_library(),
                     "cpu", fet__cpu_text(), "threads", r->s.threads, "memory_budget", (json_int_t)r->s.memory,
                     "planned_bytes", planned, "batch", r->s.batch);
}

static json_t *data_object(const fet__spcl_run *r)
{
    return json_pack("{s:s, s:s, s:s, s:i, s:i, s:i}", "text", r->o->data_text, "source_fingerprint",
                     r->o->source_print, "fingerprint", r->o->target_print, "source_images", r->o->source_count,
                     "source_identities", r->o->source_identities, "images", r->o->target_count);
}

fet_status fet__spcl_run_write(const fet__spcl_run *r)
{
    json_t *j = json_object(), *options = json_loads(r->o->config_json ? r->o->config_json : "{}", 0, NULL);
    char fingerprint[65], *text = NULL;
    fet_status st;

    FET_TRY(fet__model_fingerprint(r->m, fingerprint));
    json_object_set_new(j, "command", json_string("reid train"));
    json_object_set_new(j, "options", options ? options : json_object());
    options = NULL;
    json_object_set_new(j, "model", model_object(r->m, fingerprint));
    json_object_set_new(j, "data", data_object(r));
    json_object_set_new(j, "machine", machine_object(r));
    text = json_dumps(j, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
    if (!text) {
        st = FET_FAIL(FET_E_NOMEM, "no memory for run.json");
        goto done;
    }
    st = fet__file_write_text(r->folder.json, text);
done:
    free(text);
    json_decref(options);
    json_decref(j);
    return st;
}

static fet_status check_print(const fet__spcl_run *r, const json_t *j, const char *key, const char *what,
                              const char *now)
{
    const char *then = json_string_value(json_object_get(j, key));

    if (!then)
        return FET_FAIL(FET_E_FORMAT, "%s: not the description of a run of `reid train` (no %s)",
                        fet__show(r->folder.json), key);
    if (strcmp(then, now) != 0)
        return FET_FAIL(FET_E_DATA, "%s not that with which the run in %s began (fingerprint %.12s..., then %.12s...)",
                        what, fet__show(r->folder.path), now, then);
    return FET_OK;
}

fet_status fet__spcl_run_check(const fet__spcl_run *r)
{
    json_error_t error;
    json_t *j = json_load_file(r->folder.json, JSON_REJECT_DUPLICATES, &error), *data;
    char fingerprint[65];
    fet_status st;

    if (!j)
        return FET_FAIL(FET_E_FORMAT, "%s: not the description of a run: %s", fet__show(r->folder.json), error.text);
    data = json_object_get(j, "data");
    FET_TRY(fet__model_fingerprint(r->m, fingerprint));
    FET_TRY(check_print(r, data, "fingerprint", "the set of images is", r->o->target_print));
    FET_TRY(check_print(r, data, "source_fingerprint", "the source's set of images is", r->o->source_print));
    FET_TRY(check_print(r, json_object_get(j, "model"), "fingerprint", "the base model is", fingerprint));
done:
    json_decref(j);
    return st;
}

/* ---- log.csv -------------------------------------------------------------------------------------------------------- */

static const char log_head[] = "epoch,step,lr,loss,source_loss,clusters,outliers,dropped,threshold,purity,pair_f1,map,"
                               "rank1,rank5,rank10,images_per_s,seconds\n";

static fet_status log_error(const fet__spcl_run *r)
{
    return FET_FAIL(FET_E_IO, "cannot write %s: %s", fet__show(r->folder.log), strerror(errno));
}

fet_status fet__spcl_log_resume(fet__spcl_run *r)
{
    FILE *f;
    bool good;

    if (r->s.log_bytes > 0 && fet__file_exists(r->folder.log))
        return truncate(r->folder.log, (off_t)r->s.log_bytes) == 0 ? FET_OK : log_error(r);
    f = fopen(r->folder.log, "w");
    if (!f)
        return log_error(r);
    r->s.log_bytes = (int64_t)sizeof log_head - 1;
    good = fputs(log_head, f) >= 0;
    return fclose(f) == 0 && good ? FET_OK : log_error(r);
}

static void field(fet__text *t, const char *format, double v)
{
    fet__text_add(t, ",", 1);
    if (isfinite(v))
        fet__text_printf(t, format, v);
}

static void line_of(const fet__spcl_run *r, bool evaluated, double images_per_s, fet__text *t)
{
    const fet__spcl_labels *l = &r->s.epoch_labels;
    const fet__spcl_scores *e = &r->s.last;
    double none = (double)NAN;

    fet__text_printf(t, "%lld,%lld,%.9g,%.9g", (long long)r->s.epoch, (long long)r->s.step,
                     fet__schedule_at(&r->o->schedule, (double)r->s.epoch), r->s.last_loss);
    field(t, "%.9g", r->step.source_loss ? r->s.source_loss_sum / (double)r->s.epoch_step : none);
    fet__text_printf(t, ",%lld,%lld,%lld", (long long)l->clusters, (long long)l->outliers, (long long)l->dropped);
    field(t, "%.6f", l->threshold);
    field(t, "%.6f", l->purity);
    field(t, "%.6f", l->pair_f1);
    field(t, "%.6f", evaluated ? e->map : none);
    field(t, "%.6f", evaluated ? e->rank1 : none);
    field(t, "%.6f", evaluated ? e->rank5 : none);
    field(t, "%.6f", evaluated ? e->rank10 : none);
    field(t, "%.3f", images_per_s);
    field(t, "%.3f", r->s.seconds);
    fet__text_add(t, "\n", 1);
}

fet_status fet__spcl_log_append(fet__spcl_run *r, bool evaluated, double images_per_s)
{
    fet__text t = {0};
    FILE *f = fopen(r->folder.log, "a");
    fet_status st = FET_OK;

    line_of(r, evaluated, images_per_s, &t);
    if (!f || t.failed || fwrite(t.s, 1, t.length, f) != t.length)
        st = log_error(r);
    if (f && fclose(f) != 0 && st == FET_OK)
        st = log_error(r);
    if (st == FET_OK)
        r->s.log_bytes += (int64_t)t.length;
    fet__text_fini(&t);
    return st;
}
