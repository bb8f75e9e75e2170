/* The files of a search: search.safetensors (weights and states of all candidates; the rest as JSON in the metadata entry fettle.state),
 * search.csv, and run.json until training writes its own. */
#include "train/nas_loop.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the state ---------------------------------------------------------------------------------------------------- */

static json_t *real(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *reals(const double *v, int count)
{
    json_t *list = json_array();

    for (int i = 0; i < count; i++)
        json_array_append_new(list, json_real(v[i]));
    return list;
}

/* What the costs add up to: a resumed search must have those of its start. */
static void costs_of(const fet__nas_run *r, double out[3 * FET__NAS_LIMITS])
{
    for (int k = 0; k < r->o->costs; k++) {
        const fet__nas_cost *c = &r->o->cost[k];

        out[3 * k] = c->fixed;
        out[3 * k + 1] = c->objective.target;
        out[3 * k + 2] = 0;
        for (int i = 0; i < r->gates.positions * r->gates.candidates; i++)
            out[3 * k + 2] += c->cost[i] * (1 + i % 97);
    }
}

static json_t *state_object(const fet__nas_run *r)
{
    double costs[3 * FET__NAS_LIMITS];
    const fet__nas_state *s = &r->s;
    int gates = r->gates.positions * r->gates.candidates;
    json_t *j = json_object();

    json_object_set_new(j, "search", json_integer(1));
    json_object_set_new(j, "step", json_integer(s->step));
    json_object_set_new(j, "epoch", json_integer(s->epoch));
    json_object_set_new(j, "epoch_step", json_integer(s->epoch_step));
    json_object_set_new(j, "alpha_steps", json_integer(s->alpha_steps));
    json_object_set_new(j, "loss_sum", real(s->loss_sum));
    json_object_set_new(j, "alpha_sum", real(s->alpha_sum));
    json_object_set_new(j, "epoch_alphas", json_integer(s->epoch_alphas));
    json_object_set_new(j, "last_loss", real(s->last_loss));
    json_object_set_new(j, "last_alpha", real(s->last_alpha));
    json_object_set_new(j, "seconds", real(s->seconds));
    json_object_set_new(j, "log_bytes", json_integer(s->log_bytes));
    json_object_set_new(j, "memory", json_integer(s->memory));
    json_object_set_new(j, "threads", json_integer(s->threads));
    json_object_set_new(j, "batch", json_integer(s->batch));
    json_object_set_new(j, "adam_steps", json_integer(r->gates.steps));
    json_object_set_new(j, "alpha", reals(r->gates.alpha, gates));
    json_object_set_new(j, "square", reals(r->gates.square, gates));
    costs_of(r, costs);
    json_object_set_new(j, "costs", reals(costs, 3 * r->o->costs));
    return j;
}

fet_status fet__nas_state_write(const fet__nas_run *r)
{
    json_t *j = state_object(r);
    char *text = json_dumps(j, JSON_COMPACT | JSON_REAL_PRECISION(17));
    fet_status st = text ? fet__state_write(r->state_path, r->super.store, text)
                         : FET_FAIL(FET_E_NOMEM, "no memory for the state of the search");

    free(text);
    json_decref(j);
    return st;
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

static bool reals_from(const json_t *j, const char *key, double *out, int count)
{
    const json_t *list = json_object_get(j, key);

    if (!json_is_array(list) || json_array_size(list) != (size_t)count)
        return false;
    for (int i = 0; i < count; i++) {
        const json_t *v = json_array_get(list, (size_t)i);

        if (!json_is_number(v))
            return false;
        out[i] = json_number_value(v);
    }
    return true;
}

static fet_status same_costs(const fet__nas_run *r, const json_t *j)
{
    double now[3 * FET__NAS_LIMITS], then[3 * FET__NAS_LIMITS];
    int count = 3 * r->o->costs;

    costs_of(r, now);
    if (!reals_from(j, "costs", then, count) || memcmp(now, then, (size_t)count * sizeof *now) != 0)
        return FET_FAIL(FET_E_ARG, "%s: the profile or what blocks cost is not that with which the search began",
                        fet__show(r->state_path));
    return FET_OK;
}

static fet_status state_from(fet__nas_run *r, const json_t *j, bool gates)
{
    int count = r->gates.positions * r->gates.candidates;

    if (integer_from(j, "search") != 1 || integer_from(j, "step") < 0 || integer_from(j, "epoch") < 0 ||
        integer_from(j, "epoch_step") < 0 || integer_from(j, "alpha_steps") < 0 || integer_from(j, "batch") < 1 ||
        integer_from(j, "log_bytes") < 0 ||
        (gates && (!reals_from(j, "alpha", r->gates.alpha, count) || !reals_from(j, "square", r->gates.square, count))))
        return FET_FAIL(FET_E_FORMAT, "%s: not the state of this search (metadata fettle.state)",
                        fet__show(r->state_path));
    r->gates.steps = integer_from(j, "adam_steps");
    r->s = (fet__nas_state){.step = integer_from(j, "step"),
                            .epoch = integer_from(j, "epoch"),
                            .epoch_step = integer_from(j, "epoch_step"),
                            .alpha_steps = integer_from(j, "alpha_steps"),
                            .loss_sum = real_from(j, "loss_sum"),
                            .alpha_sum = real_from(j, "alpha_sum"),
                            .epoch_alphas = integer_from(j, "epoch_alphas"),
                            .last_loss = real_from(j, "last_loss"),
                            .last_alpha = real_from(j, "last_alpha"),
                            .seconds = real_from(j, "seconds"),
                            .log_bytes = integer_from(j, "log_bytes"),
                            .memory = integer_from(j, "memory"),
                            .threads = (int)integer_from(j, "threads"),
                            .batch = (int)integer_from(j, "batch")};
    return gates ? same_costs(r, j) : FET_OK;
}

static fet_status read_state(fet__nas_run *r, bool all)
{
    char *text = NULL;
    json_t *j = NULL;
    fet_status st;

    FET_TRY(fet__state_read(r->state_path, all ? r->super.store : NULL, &text));
    j = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    st = state_from(r, j, all);
done:
    json_decref(j);
    fet__free(text);
    return st;
}

fet_status fet__nas_state_peek(fet__nas_run *r)
{
    return read_state(r, false);
}

fet_status fet__nas_state_read(fet__nas_run *r)
{
    return read_state(r, true);
}

/* ---- run.json ----------------------------------------------------------------------------------------------------- */

static json_t *described(const fet__nas_run *r)
{
    const fet__dataset *d = r->o->data;
    json_t *j = json_loads(r->o->json ? r->o->json : "{}", 0, NULL);

    if (!j)
        return NULL;
    json_object_set_new(j, "data",
                        json_pack("{s:s, s:s, s:i, s:i}", "path", fet__show(d->root), "fingerprint", d->fingerprint,
                                  "weight_images", r->count[0], "alpha_images", r->count[1]));
    json_object_set_new(j, "machine",
                        json_pack("{s:s, s:s, s:s, s:i, s:I, s:i}", "fettle", FETTLE_VERSION, "kernels",
                                  fet__machine_library(), "cpu", fet__cpu_text(), "threads", r->s.threads,
                                  "memory_budget", (json_int_t)r->s.memory, "batch", r->s.batch));
    return j;
}

fet_status fet__nas_json_write(const fet__nas_run *r)
{
    json_t *j = described(r);
    char *text = j ? json_dumps(j, JSON_INDENT(2) | JSON_REAL_PRECISION(12)) : NULL;
    fet_status st = text ? FET_OK : FET_FAIL(FET_E_NOMEM, "no memory for run.json");

    FET_TRY(st);
    st = fet__file_write_text(r->folder.json, text);
done:
    free(text);
    json_decref(j);
    return st;
}

fet_status fet__nas_json_check(const fet__nas_run *r)
{
    json_error_t error;
    json_t *j = json_load_file(r->folder.json, JSON_REJECT_DUPLICATES, &error);
    const char *then = json_string_value(json_object_get(json_object_get(j, "data"), "fingerprint"));
    fet_status st = FET_OK;

    if (!then)
        st = FET_FAIL(FET_E_FORMAT, "%s: not the description of a search", fet__show(r->folder.json));
    else if (strcmp(then, r->o->data->fingerprint) != 0)
        st = FET_FAIL(FET_E_DATA,
                      "%s: the set of images is not that with which the search began (fingerprint %.12s..., then "
                      "%.12s...)",
                      fet__show(r->o->data->root), r->o->data->fingerprint, then);
    json_decref(j);
    return st;
}

/* ---- search.csv --------------------------------------------------------------------------------------------------- */

static fet_status log_error(const fet__nas_run *r)
{
    return FET_FAIL(FET_E_IO, "cannot write %s: %s", fet__show(r->log_path), strerror(errno));
}

fet_status fet__nas_log_resume(fet__nas_run *r)
{
    fet__text t = {0};
    FILE *f;
    bool good;

    if (r->s.log_bytes > 0 && fet__file_exists(r->log_path))
        return truncate(r->log_path, (off_t)r->s.log_bytes) == 0 ? FET_OK : log_error(r);
    fet__text_printf(&t, "epoch,step,alpha_steps,lr,train_loss,alpha_loss,entropy");
    for (int i = 0; i < r->o->costs; i++)
        fet__text_printf(&t, ",%s", r->o->cost[i].name);
    fet__text_printf(&t, ",images_per_s,seconds\n");
    f = fopen(r->log_path, "w");
    good = f && !t.failed && fwrite(t.s, 1, t.length, f) == t.length;
    if (f && fclose(f) != 0)
        good = false;
    r->s.log_bytes = (int64_t)t.length;
    fet__text_fini(&t);
    return good ? FET_OK : log_error(r);
}

static void field(fet__text *t, double v)
{
    fet__text_add(t, ",", 1);
    if (isfinite(v))
        fet__text_printf(t, "%.9g", v);
}

static void line_of(const fet__nas_run *r, double lr, double images_per_s, fet__text *t)
{
    fet__text_printf(t, "%lld,%lld,%lld,%.9g", (long long)r->s.epoch, (long long)r->s.step, (long long)r->s.alpha_steps,
                     lr);
    field(t, r->s.last_loss);
    field(t, r->s.last_alpha);
    field(t, fet__nas_entropy(&r->gates));
    for (int i = 0; i < r->o->costs; i++)
        field(t, fet__nas_expected_of(&r->gates, &r->o->cost[i]));
    fet__text_printf(t, ",%.3f,%.3f\n", images_per_s, r->s.seconds);
}

fet_status fet__nas_log_append(fet__nas_run *r, double lr, double images_per_s)
{
    fet__text t = {0};
    FILE *f = fopen(r->log_path, "a");
    fet_status st = FET_OK;

    line_of(r, lr, images_per_s, &t);
    if (!f || t.failed || fwrite(t.s, 1, t.length, f) != t.length)
        st = log_error(r);
    if (f && fclose(f) != 0 && st == FET_OK)
        st = log_error(r);
    if (st == FET_OK)
        r->s.log_bytes += (int64_t)t.length;
    fet__text_fini(&t);
    return st;
}
