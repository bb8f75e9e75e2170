/* spcl.tiny_net: a narrow re-identification network with its hybrid memory, ten steps of the program that `reid train` runs: first values of the
 * memory, features, losses, gradients, weights, statistics and memory afterwards. */
#include "parity/parity.h"
#include "train/train.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HEIGHT = 64, WIDTH = 32, VALUES = HEIGHT * WIDTH * 3 };

typedef struct net {
    parity_case *c;
    fet__model m;
    fet__spcl_step step;
    fet__optimizer_options optimizer;
    int batch, steps, width;
    int64_t sources, targets, rows;
    bool two;
    float *source_images, *target_images; /* as the network takes them */
    int64_t source_count;
    double *source_label, *target_label, *label; /* of the images; of the memory's rows */
    float *before;                               /* copies of the trained tensors, one behind the other */
} net;

/* "base.4.0.conv1.weight" -> "layer1.0.conv1.weight" */
static void own_name(char out[200], const char *name)
{
    if (strncmp(name, "base.", 5) != 0)
        snprintf(out, 200, "%s", name);
    else if (name[5] == '0')
        snprintf(out, 200, "conv1%s", name + 6);
    else if (name[5] == '1')
        snprintf(out, 200, "bn1%s", name + 6);
    else
        snprintf(out, 200, "layer%c%s", name[5] - 3, name + 6);
}

static const char *file_name(char out[200], const char *prefix, const char *own)
{
    if (strncmp(own, "conv1.", 6) == 0)
        snprintf(out, 200, "%s.base.0%s", prefix, own + 5);
    else if (strncmp(own, "bn1.", 4) == 0)
        snprintf(out, 200, "%s.base.1%s", prefix, own + 3);
    else if (strncmp(own, "layer", 5) == 0)
        snprintf(out, 200, "%s.base.%c%s", prefix, own[5] + 3, own + 6);
    else
        snprintf(out, 200, "%s.%s", prefix, own);
    return out;
}

/* ---- the model ------------------------------------------------------------------------------------------------------ */

static fet_status load_params(net *n)
{
    fet_status st = FET_OK;

    for (int i = 0; i < fet__tensors_count(n->c->t); i++) {
        const fet__entry *e = fet__tensors_at(n->c->t, i);
        char name[200];
        fet__param *p;
        if (strncmp(e->name, "param.", 6) != 0 || !fet__dtype_is_float(e->dtype))
            continue;
        own_name(name, e->name + 6);
        FET_TRY(fet__params_add(n->m.store, &p, name, FET_F32, e->shape, FET__PARAM));
        fet__convert(p->data, FET_F32, e->data, e->dtype, fet__shape_count(&e->shape));
        p->loaded = true;
    }
done:
    return st;
}

static fet_status open_model(net *n)
{
    char arch[200], blocks[16] = "";
    const char *layers = parity_text(n->c, "layers", "");
    size_t used = 0;
    fet_status st;

    for (; *layers && used + 2 < sizeof blocks; layers++)
        if ((*layers >= '0' && *layers <= '9') || *layers == ',')
            blocks[used++] = *layers == ',' ? '+' : *layers;
    snprintf(arch, sizeof arch,
             "resnet:block=bottleneck,width=%.0f,blocks=%s,img=64x32,classes=0,stride=1,neck=true,domains=%s",
             parity_number(n->c, "width", 4), blocks, n->two ? "true" : "false");
    FET_TRY(fet__params_create(&n->m.store));
    FET_TRY(load_params(n));
    FET_TRY(fet__arch_create(&n->m.arch, arch));
    n->m.input = n->m.arch.input;
    if (!(n->m.path = fet__strdup("golden")))
        return FET_E_NOMEM;
    FET_TRY(fet__model_attach(&n->m, "full"));
    if (!n->two)
        fet__params_find(n->m.store, "feat_bn.bias")->trainable = false;
done:
    return st;
}

/* [N, 3, H, W] -> [N, H, W, 3] */
static fet_status images_of(net *n, const char *name, float **out, int64_t *count)
{
    double *x = NULL;
    int64_t values;
    fet_status st;

    FET_TRY(parity_doubles(n->c, name, &x, &values));
    *count = values / VALUES;
    FET_TRY(FET_NEW(*out, values));
    for (int64_t i = 0; i < values; i++) {
        int64_t image = i / VALUES, channel = i % VALUES / (HEIGHT * WIDTH), at = i % (HEIGHT * WIDTH);
        (*out)[image * VALUES + at * 3 + channel] = (float)x[i];
    }
done:
    fet__free(x);
    return st;
}

static fet_status features_of(net *n, const float *images, int64_t count, float *out)
{
    fet__step_options o = {.batch = (int)count, .reference = n->c->reference};
    fet__step s = {0};
    fet_status st;

    FET_TRY(fet__step_create(&s, &n->m, &o));
    memcpy(s.images, images, (size_t)(count * VALUES) * sizeof *images);
    FET_TRY(fet__step_compute(&s));
    for (int64_t i = 0; i < count; i++) {
        const float *f = s.features + i * n->width;
        double square = 0;
        for (int k = 0; k < n->width; k++)
            square += (double)f[k] * (double)f[k];
        for (int k = 0; k < n->width; k++)
            out[i * n->width + k] = (float)((double)f[k] / sqrt(square));
    }
done:
    fet__step_fini(&s);
    return st;
}

/* ---- before, during and after ----------------------------------------------------------------------------------- */

static fet_status first_memory(net *n)
{
    float *memory = n->step.memory->data, *f = NULL;
    fet_status st;

    FET_TRY(FET_NEW(f, (n->source_count + 1) * n->width));
    if (n->two)
        FET_TRY(features_of(n, n->source_images, n->source_count, f));
    for (int64_t k = 0; k < n->sources; k++) {
        float *row = memory + k * n->width;
        double square = 0;
        for (int64_t i = 0; i < n->source_count; i++)
            for (int c = 0; c < n->width && (int64_t)n->source_label[i] == k; c++)
                row[c] += f[i * n->width + c];
        for (int c = 0; c < n->width; c++)
            square += (double)row[c] * (double)row[c];
        for (int c = 0; c < n->width; c++)
            row[c] = (float)((double)row[c] / sqrt(square));
    }
    FET_TRY(features_of(n, n->target_images, n->targets, memory + n->sources * n->width));
    st = parity_compare(n->c, "out.memory_init", memory, FET_F32, n->rows * n->width, PARITY_ABS, 2e-5);
done:
    fet__free(f);
    return st;
}

static fet_status feed(net *n, int step)
{
    char name[64];
    double *source = NULL, *target = NULL;
    int32_t row;
    int at = n->two ? n->batch : 0;
    fet_status st = FET_OK;

    snprintf(name, sizeof name, "in.source_index.%d", step);
    if (n->two)
        FET_TRY(parity_doubles(n->c, name, &source, NULL));
    snprintf(name, sizeof name, "in.target_index.%d", step);
    FET_TRY(parity_doubles(n->c, name, &target, NULL));
    for (int i = 0; i < n->batch; i++) {
        if (n->two) {
            memcpy(n->step.base.images + (size_t)i * VALUES, n->source_images + (size_t)source[i] * VALUES,
                   VALUES * sizeof(float));
            row = (int32_t)n->source_label[(int64_t)source[i]];
            fet__spcl_step_rows(&n->step, i, &row, 1);
        }
        memcpy(n->step.base.images + (size_t)(at + i) * VALUES, n->target_images + (size_t)target[i] * VALUES,
               VALUES * sizeof(float));
        row = (int32_t)n->sources + (int32_t)target[i];
        fet__spcl_step_rows(&n->step, at + i, &row, 1);
    }
    if (n->step.base.step)
        *n->step.base.step = step;
    fet__optimizer_bind(&n->optimizer, n->step.base.program, step, parity_number(n->c, "lr", 0));
done:
    fet__free(source);
    fet__free(target);
    return st;
}

static fet_status keep_before(net *n)
{
    int64_t total = 0;
    fet_status st;

    FET_TRY(FET_NEW(n->before, n->step.base.trainable_values));
    for (int i = 0; i < n->step.base.trainable; i++) {
        memcpy(n->before + total, n->step.base.params[i]->data, (size_t)n->step.base.params[i]->bytes);
        total += fet__shape_count(&n->step.base.params[i]->shape);
    }
done:
    return st;
}

/* Adam's first moment after the first step is (1 - beta1) (gradient + decay weight). */
static fet_status compare_gradients(net *n)
{
    float *grad = NULL;
    int64_t at = 0;
    fet_status st;

    FET_TRY(FET_NEW(grad, n->step.base.trainable_values));
    for (int i = 0; i < n->step.base.trainable; i++) {
        const fet__param *p = n->step.base.params[i], *moment;
        int64_t count = fet__shape_count(&p->shape);
        char name[256];
        snprintf(name, sizeof name, "optim.%s.m", p->name);
        moment = fet__params_find(n->m.store, name);
        for (int64_t k = 0; k < count; k++)
            grad[k] = (float)((double)((const float *)moment->data)[k] / (1 - n->optimizer.beta1) -
                              n->optimizer.weight_decay * (double)n->before[at + k]);
        FET_TRY(parity_compare(n->c, file_name(name, "grad", p->name), grad, FET_F32, count, PARITY_MAX, 1e-3));
        at += count;
    }
done:
    fet__free(grad);
    return st;
}

static fet_status first_step(net *n, const float *losses)
{
    double *expected = NULL;
    int64_t images = (int64_t)n->step.domains * n->batch;
    fet_status st;

    FET_TRY(
        parity_compare(n->c, "out.features.0", n->step.base.features, FET_F32, images * n->width, PARITY_ABS, 2e-5));
    FET_TRY(parity_compare(n->c, "out.memory.0", n->step.memory->data, FET_F32, n->rows * n->width, PARITY_ABS, 1e-4));
    FET_TRY(parity_doubles(n->c, "loss", &expected, NULL));
    for (int i = 0; i < n->step.domains; i++)
        parity_note(n->c, "loss", fabs((double)losses[i] - expected[i]), 1e-4);
    st = compare_gradients(n);
done:
    fet__free(expected);
    return st;
}

static fet_status compare_final(net *n)
{
    fet_status st = FET_OK;

    for (int i = 0; i < fet__tensors_count(n->c->t); i++) {
        const fet__entry *e = fet__tensors_at(n->c->t, i);
        const fet__param *p;
        char name[200];
        double *before = NULL;
        if (strncmp(e->name, "final.", 6) != 0 || strcmp(e->name, "final.memory") == 0)
            continue;
        if (!fet__dtype_is_float(e->dtype)) { /* counters that only files have */
            snprintf(name, sizeof name, "param.%s", e->name + 6);
            FET_TRY(parity_doubles(n->c, name, &before, NULL));
            st = parity_compare_one(n->c, e->name, before[0] + n->steps, PARITY_ABS, 0);
            fet__free(before);
            FET_TRY(st);
            continue;
        }
        own_name(name, e->name + 6);
        if (!(p = fet__params_find(n->m.store, name)))
            return FET_FAIL(FET_E_FORMAT, "the network has no tensor %s", name);
        FET_TRY(parity_compare(n->c, e->name, p->data, FET_F32, fet__shape_count(&p->shape), PARITY_ABS, 2e-4));
    }
    st = parity_compare(n->c, "final.memory", n->step.memory->data, FET_F32, n->rows * n->width, PARITY_ABS, 1e-3);
done:
    return st;
}

static fet_status run_steps(net *n)
{
    float *losses = NULL, *after = NULL;
    int64_t classes;
    int32_t *label = NULL;
    fet_status st;

    FET_TRY(FET_NEW(losses, (int64_t)n->steps * n->step.domains));
    FET_TRY(FET_NEW(label, n->rows));
    FET_TRY(FET_NEW(after, n->targets * n->width));
    for (int64_t i = 0; i < n->rows; i++)
        label[i] = (int32_t)n->label[i];
    FET_TRY(fet__spcl_step_labels(&n->step, label, n->rows, &classes));
    for (int t = 0; t < n->steps; t++) {
        float *loss = losses + (size_t)t * (size_t)n->step.domains;
        FET_TRY(feed(n, t));
        FET_TRY(fet__step_compute(&n->step.base));
        if (n->two)
            loss[0] = *n->step.source_loss;
        loss[n->step.domains - 1] = *n->step.target_loss;
        if (t == 0)
            FET_TRY(first_step(n, loss));
    }
    FET_TRY(parity_compare(n->c, "loss", losses, FET_F32, (int64_t)n->steps * n->step.domains, PARITY_ABS, 2e-3));
    FET_TRY(compare_final(n));
    FET_TRY(features_of(n, n->target_images, n->targets, after));
    st = parity_compare(n->c, "out.eval_after", after, FET_F32, n->targets * n->width, PARITY_ABS, 1e-3);
done:
    fet__free(losses);
    fet__free(label);
    fet__free(after);
    return st;
}

/* Which tensors train, in the golden's order. */
static fet_status compare_trainable(net *n)
{
    json_t *names = json_loads(parity_text(n->c, "parameter_order", "[]"), 0, NULL);
    double *trains = NULL;
    size_t count = json_array_size(names);
    fet_status st;

    FET_TRY(FET_NEW(trains, count + 1));
    for (size_t i = 0; i < count; i++) {
        const char *name = json_string_value(json_array_get(names, i));
        const fet__param *p;
        char own[200] = "";
        if (name)
            own_name(own, name);
        p = fet__params_find(n->m.store, own);
        trains[i] = p && p->trainable;
    }
    st = parity_compare(n->c, "trainable", trains, FET_F64, (int64_t)count, PARITY_ABS, 0);
done:
    fet__free(trains);
    json_decref(names);
    return st;
}

static fet_status open_step(net *n)
{
    fet__spcl_step_options o = {.batch = n->batch,
                                .source_rows = n->sources,
                                .rows = n->rows,
                                .temperature = parity_number(n->c, "temp", 0),
                                .momentum = parity_number(n->c, "momentum", 0),
                                .reference_order = true,
                                .optimizer = &n->optimizer,
                                .reference = n->c->reference};

    n->optimizer = fet__optimizer_defaults();
    n->optimizer.kind = FET__ADAM;
    n->optimizer.weight_decay = parity_number(n->c, "weight_decay", 0);
    return fet__spcl_step_create(&n->step, &n->m, &o);
}

static void net_fini(net *n)
{
    fet__spcl_step_fini(&n->step);
    fet__adapter_destroy(n->m.adapter);
    fet__params_destroy(n->m.store);
    fet__arch_fini(&n->m.arch);
    fet__arena_fini(&n->m.arena);
    fet__free(n->m.path);
    fet__free(n->source_images);
    fet__free(n->target_images);
    fet__free(n->source_label);
    fet__free(n->target_label);
    fet__free(n->label);
    fet__free(n->before);
}

fet_status parity_spcl_tiny_net(parity_case *c)
{
    net n = {.c = c,
             .batch = (int)parity_number(c, "batch_target", 0),
             .steps = (int)parity_number(c, "steps", 0),
             .width = (int)parity_number(c, "width", 0) * 32,
             .sources = (int64_t)parity_number(c, "source_classes", 0)};
    fet_status st;

    n.two = n.sources > 0;
    FET_TRY(open_model(&n));
    FET_TRY(images_of(&n, "in.target_images", &n.target_images, &n.targets));
    if (n.two) {
        FET_TRY(images_of(&n, "in.source_images", &n.source_images, &n.source_count));
        FET_TRY(parity_doubles(c, "in.source_labels", &n.source_label, NULL));
    }
    n.rows = n.sources + n.targets;
    FET_TRY(parity_doubles(c, "in.memory_labels", &n.label, NULL));
    FET_TRY(open_step(&n));
    FET_TRY(compare_trainable(&n));
    FET_TRY(first_memory(&n));
    FET_TRY(keep_before(&n));
    st = run_steps(&n);
done:
    net_fini(&n);
    return st;
}
