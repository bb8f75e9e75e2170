/* The folder that a training command writes: its files, run.json, log.csv. The state itself is checkpoint.c's. */
#include "train/train_int.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static fet_status paths(fet__run_folder *r, const char *path)
{
    r->path = fet__strdup(path);
    r->state = fet__path_join(path, "state.safetensors");
    r->adapter = fet__path_join(path, "adapter.safetensors");
    r->best = fet__path_join(path, "best.safetensors");
    r->model = fet__path_join(path, "model.safetensors");
    r->log = fet__path_join(path, "log.csv");
    r->json = fet__path_join(path, "run.json");
    r->report = fet__path_join(path, "report.html");
    return r->path && r->state && r->adapter && r->best && r->model && r->log && r->json && r->report ? FET_OK
                                                                                                      : FET_E_NOMEM;
}

/* Is there nothing in the folder but, perhaps, `name` and temporary files? */
static bool holds_no_more_than(const char *path, const char *name)
{
    char **names = NULL;
    int count = 0, i, others = 0;

    if (!fet__is_folder(path) || fet__list_folder(&names, &count, path) != FET_OK)
        return false;
    for (i = 0; i < count; i++)
        others += names[i][0] != '.' && strcmp(names[i], name) != 0;
    fet__names_free(names, count);
    return others == 0;
}

fet_status fet__run_open(fet__run_folder *out, const char *path, bool resume, bool *has_state)
{
    fet_status st;
    bool exists = fet__file_exists(path);

    memset(out, 0, sizeof *out);
    *has_state = false;
    FET_TRY(paths(out, path));
    if (exists && !resume) {
        st = FET_FAIL(FET_E_ARG, "%s exists: give another --out, or --resume to continue the run there",
                      fet__show(path));
        goto done;
    }
    if (resume && !fet__file_exists(out->json)) {
        /* Killed before its first words: nothing is lost by beginning again, if nothing else lies there. */
        if (!exists || !holds_no_more_than(path, "log.csv")) {
            st = FET_FAIL(FET_E_IO, "%s: there is no run to resume (no run.json)", fet__show(path));
            goto done;
        }
        fet__note("%s: the run had not begun yet; it begins now", fet__show(path));
    }
    *has_state = resume && fet__file_exists(out->state);
done:
    if (st != FET_OK)
        fet__run_close(out);
    return st;
}

void fet__run_close(fet__run_folder *r)
{
    fet__free(r->path);
    fet__free(r->state);
    fet__free(r->adapter);
    fet__free(r->best);
    fet__free(r->model);
    fet__free(r->log);
    fet__free(r->json);
    fet__free(r->report);
    memset(r, 0, sizeof *r);
}

/* ---- run.json ----------------------------------------------------------------------------------------------------- */

static json_t *counts_object(const fet__dataset *d)
{
    json_t *j = json_object();
    int i;

    for (i = 0; i < FET__SPLITS; i++)
        json_object_set_new(j, fet__split_name((fet__split)i), json_integer(d->count[i]));
    return j;
}

static json_t *data_object(const fet__dataset *d)
{
    json_t *j = json_object(), *classes = json_array();
    int i;

    for (i = 0; i < d->class_count; i++)
        json_array_append_new(classes, json_string(d->classes[i]));
    json_object_set_new(j, "path", json_string(d->root));
    json_object_set_new(j, "fingerprint", json_string(d->fingerprint));
    json_object_set_new(j, "images", counts_object(d));
    json_object_set_new(j, "classes", classes);
    return j;
}

static json_t *model_object(fet__model *m, const char *fingerprint)
{
    json_t *j = json_object();
    fet__text arch = {0};

    m->arch.class_->print(&m->arch, &arch);
    json_object_set_new(j, "path", json_string(m->path));
    json_object_set_new(j, "arch", json_string(arch.s ? arch.s : ""));
    json_object_set_new(j, "fingerprint", json_string(fingerprint));
    json_object_set_new(j, "adapter", json_string(m->adapter ? m->adapter->spec : ""));
    json_object_set_new(j, "parameters", json_integer(fet__model_parameters(m, false)));
    json_object_set_new(j, "trainable", json_integer(fet__model_parameters(m, true)));
    fet__text_fini(&arch);
    return j;
}

static json_t *machine_object(const fet__run_state *s, const fet__program_info *info)
{
    json_t *j = json_object();

    json_object_set_new(j, "fettle", json_string(FETTLE_VERSION));
    json_object_set_new(j, "kernels", json_string(fet__machine_library()));
    json_object_set_new(j, "cpu", json_string(fet__cpu_text()));
    json_object_set_new(j, "threads", json_integer(s->threads));
    json_object_set_new(j, "memory_budget", json_integer(s->memory));
    json_object_set_new(j, "planned_bytes", json_integer(info->total_bytes + info->weight_bytes + info->process_bytes));
    json_object_set_new(j, "batch", json_integer(s->batch));
    json_object_set_new(j, "batch_parts", json_integer(s->parts));
    json_object_set_new(j, "repeated_steps", json_integer(info->repeated));
    json_object_set_new(j, "repeated_gflop", json_real(info->repeated_flops / 1e9));
    return j;
}

fet_status fet__run_write_json(const fet__run_folder *r, fet__model *m, const fet__dataset *d,
                               const fet__loop_options *o, const fet__run_state *s, const fet__program_info *info)
{
    json_t *j = json_object(), *options = json_loads(o->config_json ? o->config_json : "{}", 0, NULL);
    char fingerprint[65], *text = NULL;
    fet_status st;

    FET_TRY(fet__model_fingerprint(m, fingerprint));
    json_object_set_new(j, "options", options ? options : json_object()); /* an owned reference either way */
    json_object_set_new(j, "model", model_object(m, fingerprint));
    json_object_set_new(j, "data", data_object(d));
    json_object_set_new(j, "machine", machine_object(s, info));
    text = json_dumps(j, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
    if (!text) {
        st = FET_FAIL(FET_E_NOMEM, "no memory for run.json");
        goto done;
    }
    st = fet__file_write_text(r->json, text);
done:
    free(text);
    json_decref(j);
    return st;
}

static fet_status check_print(const fet__run_folder *r, const json_t *j, const char *part, const char *what,
                              const char *path, const char *now)
{
    const char *then = json_string_value(json_object_get(json_object_get(j, part), "fingerprint"));

    if (!then)
        return FET_FAIL(FET_E_FORMAT, "%s: not the description of a run (no fingerprint of its %s)", fet__show(r->json),
                        part);
    if (strcmp(then, now) == 0)
        return FET_OK;
    return FET_FAIL(FET_E_DATA, "%s: %s not that with which the run began (fingerprint %.12s..., then %.12s...)",
                    fet__show(path), what, now, then);
}

fet_status fet__run_check(const fet__run_folder *r, fet__model *m, const fet__dataset *d)
{
    json_error_t error;
    json_t *j = json_load_file(r->json, JSON_REJECT_DUPLICATES, &error);
    char fingerprint[65];
    fet_status st;

    if (!j)
        return FET_FAIL(FET_E_FORMAT, "%s: not the description of a run: %s", fet__show(r->json), error.text);
    FET_TRY(fet__model_fingerprint(m, fingerprint));
    FET_TRY(check_print(r, j, "data", "the set of images is", d->root, d->fingerprint));
    FET_TRY(check_print(r, j, "model", "the base model is", m->path, fingerprint));
done:
    json_decref(j);
    return st;
}

/* ---- log.csv ------------------------------------------------------------------------------------------------------- */

static const char log_head[] =
    "epoch,step,lr,train_loss,val_loss,val_top1,val_top5,val_macro_f1,images_per_s,seconds\n";

static fet_status log_error(const fet__run_folder *r)
{
    return FET_FAIL(FET_E_IO, "cannot write %s: %s", fet__show(r->log), strerror(errno));
}

fet_status fet__log_resume(const fet__run_folder *r, fet__run_state *s)
{
    FILE *f;

    if (s->log_bytes > 0 && fet__file_exists(r->log))
        return truncate(r->log, (off_t)s->log_bytes) == 0 ? FET_OK : log_error(r);
    f = fopen(r->log, "w");
    if (!f)
        return log_error(r);
    s->log_bytes = (int64_t)sizeof log_head - 1;
    if (fputs(log_head, f) < 0) {
        fclose(f);
        return log_error(r);
    }
    return fclose(f) == 0 ? FET_OK : log_error(r);
}

static void field(fet__text *t, const char *format, double v)
{
    fet__text_add(t, ",", 1);
    if (isfinite(v))
        fet__text_printf(t, format, v);
}

fet_status fet__log_append(const fet__run_folder *r, fet__run_state *s, bool evaluated, double lr, double images_per_s)
{
    const fet__eval_result *e = &s->last;
    fet__text t = {0};
    FILE *f = fopen(r->log, "a");
    fet_status st = FET_OK;

    fet__text_printf(&t, "%lld,%lld,%.9g,%.9g", (long long)s->epoch, (long long)s->step, lr, s->last_train_loss);
    field(&t, "%.9g", evaluated ? e->loss : (double)NAN);
    field(&t, "%.6f", evaluated ? e->top1 : (double)NAN);
    field(&t, "%.6f", evaluated ? e->top5 : (double)NAN);
    field(&t, "%.6f", evaluated ? e->macro_f1 : (double)NAN);
    field(&t, "%.3f", images_per_s);
    field(&t, "%.3f", s->seconds);
    fet__text_add(&t, "\n", 1);
    if (!f || t.failed || fwrite(t.s, 1, t.length, f) != t.length)
        st = log_error(r);
    if (f && fclose(f) != 0 && st == FET_OK)
        st = log_error(r);
    if (st == FET_OK)
        s->log_bytes += (int64_t)t.length;
    fet__text_fini(&t);
    return st;
}
