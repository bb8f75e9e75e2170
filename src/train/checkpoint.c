/* state.safetensors: all that a run needs to go on. Trained tensors are param.NAME, optimiser states keep their names, the rest is
 * JSON in the metadata entry fettle.state. When to save is loop.c's business. */
#include "train/train_int.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* JSON has no NaN: an undefined metric is null. */
static json_t *real_or_null(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *eval_object(const fet__eval_result *e)
{
    json_t *j = json_object();

    json_object_set_new(j, "top1", real_or_null(e->top1));
    json_object_set_new(j, "top5", real_or_null(e->top5));
    json_object_set_new(j, "macro_f1", real_or_null(e->macro_f1));
    json_object_set_new(j, "loss", real_or_null(e->loss));
    json_object_set_new(j, "images", json_integer(e->images));
    return j;
}

static json_t *state_object(const fet__run_state *s)
{
    json_t *j = json_object();

    json_object_set_new(j, "format", json_integer(1));
    json_object_set_new(j, "step", json_integer(s->step));
    json_object_set_new(j, "epoch", json_integer(s->epoch));
    json_object_set_new(j, "epoch_step", json_integer(s->epoch_step));
    json_object_set_new(j, "loss_sum", json_real(s->loss_sum));
    json_object_set_new(j, "loss_images", json_integer(s->loss_images));
    json_object_set_new(j, "skipped", json_integer(s->skipped));
    json_object_set_new(j, "last", eval_object(&s->last));
    json_object_set_new(j, "best", eval_object(&s->best));
    json_object_set_new(j, "best_epoch", json_integer(s->best_epoch));
    json_object_set_new(j, "last_train_loss", real_or_null(s->last_train_loss));
    json_object_set_new(j, "seconds", json_real(s->seconds));
    json_object_set_new(j, "log_bytes", json_integer(s->log_bytes));
    json_object_set_new(j, "parts", json_integer(s->parts));
    json_object_set_new(j, "memory", json_integer(s->memory));
    json_object_set_new(j, "threads", json_integer(s->threads));
    json_object_set_new(j, "batch", json_integer(s->batch));
    json_object_set_new(j, "alive", json_string(s->alive ? s->alive : ""));
    return j;
}

static bool is_kept(const fet__param *p)
{
    return p->role == FET__STATE || p->trainable;
}

fet_status fet__state_write(const char *path, const fet__params *store, const char *text)
{
    int i, n = fet__params_count(store), count = 0;
    fet__entry *entries = NULL;
    fet__arena names = {0};
    fet__meta_pair meta = {"fettle.state", text};
    fet_status st;

    FET_TRY(FET_NEW(entries, n + 1));
    for (i = 0; i < n; i++) {
        const fet__param *p = fet__params_at(store, i);
        const char *name = p->role == FET__STATE ? p->name : fet__arena_format(&names, "param.%s", p->name);
        if (!is_kept(p))
            continue;
        if (!name) {
            st = FET_E_NOMEM;
            goto done;
        }
        entries[count++] = (fet__entry){name, p->dtype, p->shape, p->data, p->bytes};
    }
    FET_TRY(fet__sealed_write(path, entries, count, &meta, 1));
done:
    fet__arena_fini(&names);
    fet__free(entries);
    return st;
}

fet_status fet__checkpoint_write(const char *path, const fet__model *m, const fet__run_state *s)
{
    json_t *j = state_object(s);
    char *text = json_dumps(j, JSON_COMPACT | JSON_REAL_PRECISION(17));
    fet_status st =
        text ? fet__state_write(path, m->store, text) : FET_FAIL(FET_E_NOMEM, "no memory for the state of the run");

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

static void eval_from(const json_t *j, fet__eval_result *e)
{
    *e = (fet__eval_result){real_from(j, "top1"), real_from(j, "top5"),      real_from(j, "macro_f1"),
                            real_from(j, "loss"), integer_from(j, "images"), 0};
}

static fet_status state_from(const json_t *j, const char *path, fet__run_state *s)
{
    const char *alive = json_string_value(json_object_get(j, "alive"));

    if (integer_from(j, "format") != 1 || !alive || integer_from(j, "step") < 0 || integer_from(j, "epoch") < 0 ||
        integer_from(j, "epoch_step") < 0 || integer_from(j, "batch") < 1 || integer_from(j, "parts") < 0 ||
        integer_from(j, "parts") > integer_from(j, "batch"))
        return FET_FAIL(FET_E_FORMAT, "%s: not the state of a run of this version (metadata fettle.state)",
                        fet__show(path));
    *s = (fet__run_state){.step = integer_from(j, "step"),
                          .epoch = integer_from(j, "epoch"),
                          .epoch_step = integer_from(j, "epoch_step"),
                          .loss_sum = real_from(j, "loss_sum"),
                          .loss_images = integer_from(j, "loss_images"),
                          .skipped = integer_from(j, "skipped"),
                          .best_epoch = integer_from(j, "best_epoch"),
                          .last_train_loss = real_from(j, "last_train_loss"),
                          .seconds = real_from(j, "seconds"),
                          .log_bytes = integer_from(j, "log_bytes"),
                          .memory = integer_from(j, "memory"),
                          .threads = (int)integer_from(j, "threads"),
                          .batch = (int)integer_from(j, "batch"),
                          .parts = (int)integer_from(j, "parts")};
    eval_from(json_object_get(j, "last"), &s->last);
    eval_from(json_object_get(j, "best"), &s->best);
    s->alive = fet__strdup(alive);
    return s->alive ? FET_OK : FET_E_NOMEM;
}

static fet_status read_state(const fet__tensors *t, const char *path, fet__run_state *s)
{
    const char *text = fet__tensors_meta(t, "fettle.state");
    json_t *j = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
    fet_status st;

    if (!j)
        return FET_FAIL(FET_E_FORMAT, "%s: no state of a run (metadata fettle.state is %s)", fet__show(path),
                        text ? "not JSON" : "absent");
    st = state_from(j, path, s);
    json_decref(j);
    return st;
}

fet_status fet__checkpoint_peek(const char *path, fet__run_state *s)
{
    fet__tensors *t = NULL;
    fet_status st;

    memset(s, 0, sizeof *s);
    FET_TRY(fet__tensors_open(&t, path));
    FET_TRY(read_state(t, path, s));
done:
    fet__tensors_close(t);
    return st;
}

static fet_status restore(const fet__tensors *t, const char *path, fet__param *p)
{
    char name[512];
    const fet__entry *e;
    fet_status st;

    snprintf(name, sizeof name, "%s%s", p->role == FET__STATE ? "" : "param.", p->name);
    e = fet__tensors_find(t, name);
    if (!e || e->dtype != p->dtype || !fet__shape_equal(&e->shape, &p->shape))
        return FET_FAIL(FET_E_FORMAT, "%s: tensor %s is %s: the state belongs to another run", fet__show(path), name,
                        e ? "of another shape" : "missing");
    FET_TRY(fet__param_own(p));
    memcpy(p->data, e->data, (size_t)p->bytes);
    p->version++;
done:
    return st;
}

static fet_status restore_all(const fet__tensors *t, const char *path, fet__params *store)
{
    fet_status st = FET_OK;
    int i;

    for (i = 0; i < fet__params_count(store) && st == FET_OK; i++)
        if (is_kept(fet__params_at(store, i)))
            st = restore(t, path, fet__params_at(store, i));
    return st;
}

fet_status fet__checkpoint_read(const char *path, fet__model *m, fet__run_state *s)
{
    fet__tensors *t = NULL;
    fet_status st;

    memset(s, 0, sizeof *s);
    FET_TRY(fet__tensors_open(&t, path));
    FET_TRY(read_state(t, path, s));
    FET_TRY(restore_all(t, path, m->store));
done:
    fet__tensors_close(t);
    return st;
}

fet_status fet__state_read(const char *path, fet__params *store, char **text)
{
    fet__tensors *t = NULL;
    const char *found;
    fet_status st;

    FET_TRY(fet__tensors_open(&t, path));
    found = fet__tensors_meta(t, "fettle.state");
    if (!found) {
        st = FET_FAIL(FET_E_FORMAT, "%s: no state of a run (metadata fettle.state is absent)", fet__show(path));
        goto done;
    }
    if (store)
        FET_TRY(restore_all(t, path, store));
    if (text && !(*text = fet__strdup(found)))
        st = FET_E_NOMEM;
done:
    fet__tensors_close(t);
    return st;
}

void fet__run_state_fini(fet__run_state *s)
{
    fet__free(s->alive);
    s->alive = NULL;
}
