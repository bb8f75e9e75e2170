/* hydra.clip_visual_hydra_mlp: CLIP's visual tower in OpenAI's names, opened as a user would, Hydra at the last layer of each MLP,
 * batch norm without parameters and a linear head on the projected feature, trained by SGD. In the published code the norm runs on its
 * running statistics after the first epoch; both that and the right way are in the golden. */
#include "parity/parity.h"

#include "model/import.h"
#include "train/train.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STEPS 10
#define NORM_EPS 1e-5
#define MOMENTUM 0.1

typedef struct clip_case {
    parity_case *c;
    fet__model *m;
    int batch, classes, width, size;
    int64_t batches;
    float *images; /* of all batches, NHWC */
    double *labels;
    float *mean, *var; /* running */
    fet__optimizer_options o;
    fet__graph *g[2]; /* evaluation, training */
    fet__program *p[2];
    fet__param *param[64]; /* what trains */
    int params;
} clip_case;

static void clip_close(clip_case *v)
{
    for (int i = 0; i < 2; i++) {
        fet__program_destroy(v->p[i]);
        fet__graph_destroy(v->g[i]);
    }
    fet__model_close(v->m);
    fet__free(v->images);
    fet__free(v->labels);
    fet__free(v->mean);
    fet__free(v->var);
}

/* ---- the model ----------------------------------------------------------------------------------------------------- */

/* The adapter's wrapped layer has its plain name back. */
static bool base_name(const char *golden, char out[200])
{
    static const char block[] = "param.visual.transformer.resblocks.{i}.mlp.ad_lin.linear.*";

    if (strncmp(golden, "param.visual.", 13) != 0)
        return false;
    if (fet__name_map(block, "visual.transformer.resblocks.{i}.mlp.c_proj.*", golden, out, 200))
        return true;
    snprintf(out, 200, "%s", golden + strlen("param."));
    return !strstr(golden, ".ad_lin.");
}

/* The golden's base tensors as a file of OpenAI's. */
static fet_status write_base(const parity_case *c, const char *path)
{
    int n = fet__tensors_count(c->t), used = 0;
    char(*names)[200] = NULL;
    fet__entry *entries = NULL;
    fet_status st;

    FET_TRY(FET_NEW(names, n + 1));
    FET_TRY(FET_NEW(entries, n + 1));
    for (int i = 0; i < n; i++) {
        const fet__entry *e = fet__tensors_at(c->t, i);
        if (!base_name(e->name, names[used]))
            continue;
        entries[used] = *e;
        entries[used].name = names[used];
        used++;
    }
    FET_TRY(fet__safetensors_write(path, entries, used, NULL, 0));
done:
    fet__free(names);
    fet__free(entries);
    return st;
}

static fet_status open_model(clip_case *v)
{
    char arch[200], path[] = "/tmp/fettle-clip-XXXXXX";
    fet__model_options o = {.arch = arch, .crop_pct = -1};
    int fd = mkstemp(path);
    fet_status st;

    if (fd < 0)
        return FET_FAIL(FET_E_IO, "no temporary file");
    close(fd);
    snprintf(arch, sizeof arch,
             "vit:dim=%d,depth=%.0f,heads=%.0f,patch=%.0f,img=%d,classes=0,eps=%.17g,quick_gelu=true,pre_norm=true,"
             "patch_bias=false,proj=%.0f",
             v->width, parity_number(v->c, "L", 0), parity_number(v->c, "h", 0), parity_number(v->c, "p", 0), v->size,
             parity_number(v->c, "ln_eps", 1e-5), parity_number(v->c, "o", 0));
    FET_TRY(write_base(v->c, path));
    FET_TRY(fet__model_open(&v->m, path, &o));
done:
    remove(path);
    return st;
}

/* Our name for a trained tensor of the golden (without "param." or "grad."). */
static const char *own_name(const char *golden, char out[200])
{
    static const char *const table[][2] = {
        {"visual.transformer.resblocks.{i}.mlp.ad_lin.adapter_par.down_proj.*", "blocks.{i}.mlp.fc2.hydra.par.down.*"},
        {"visual.transformer.resblocks.{i}.mlp.ad_lin.adapter_par.up_proj.*", "blocks.{i}.mlp.fc2.hydra.par.up.*"},
        {"visual.transformer.resblocks.{i}.mlp.ad_lin.adapter_seq.down_proj.*", "blocks.{i}.mlp.fc2.hydra.seq.down.*"},
        {"visual.transformer.resblocks.{i}.mlp.ad_lin.adapter_seq.up_proj.*", "blocks.{i}.mlp.fc2.hydra.seq.up.*"},
        {"layers.0.*", "layers.0.*"}};

    for (size_t i = 0; i < FET_COUNT(table); i++)
        if (fet__name_map(table[i][0], table[i][1], golden, out, 200))
            return out;
    return NULL;
}

static fet_status add_head(clip_case *v, const fet__entry *e)
{
    fet__param *p;
    fet_status st;

    FET_TRY(fet__params_add(v->m->store, &p, e->name + strlen("param."), FET_F32, e->shape, FET__PARAM));
    p->trainable = true;
done:
    return st;
}

static fet_status fill(clip_case *v, const fet__entry *e)
{
    char name[200];
    fet__param *p;

    if (strncmp(e->name, "param.", 6) != 0 || !own_name(e->name + 6, name))
        return FET_OK;
    p = fet__params_find(v->m->store, name);
    if (!p || !fet__shape_equal(&p->shape, &e->shape) || v->params == (int)FET_COUNT(v->param))
        return FET_FAIL(FET_E_FORMAT, "the model has no place for %s", e->name);
    fet__convert(p->data, p->dtype, e->data, e->dtype, fet__shape_count(&e->shape));
    v->param[v->params++] = p;
    return FET_OK;
}

static fet_status attach(clip_case *v)
{
    char spec[128];
    fet_status st;

    snprintf(spec, sizeof spec, "hydra:at=mlp.fc2,rank=%.0f,scale=%.17g,bias=true,dropout=0",
             parity_number(v->c, "rank", 2), parity_number(v->c, "scale", 1));
    FET_TRY(fet__model_attach(v->m, spec));
    for (int i = 0; i < fet__tensors_count(v->c->t); i++)
        if (strncmp(fet__tensors_at(v->c->t, i)->name, "param.layers.", 13) == 0)
            FET_TRY(add_head(v, fet__tensors_at(v->c->t, i)));
    for (int i = 0; i < fet__tensors_count(v->c->t); i++)
        FET_TRY(fill(v, fet__tensors_at(v->c->t, i)));
done:
    return st;
}

/* ---- data ------------------------------------------------------------------------------------------------------------ */

static fet_status load_data(clip_case *v)
{
    int64_t count, labels, hw = (int64_t)v->size * v->size;
    double *planes = NULL, *running = NULL;
    fet_status st;

    FET_TRY(parity_doubles(v->c, "in.image", &planes, &count));
    FET_TRY(parity_doubles(v->c, "in.label", &v->labels, &labels));
    v->batches = labels / v->batch;
    if (labels != v->batches * v->batch || count != labels * 3 * hw || v->batches < 1) {
        st = FET_FAIL(FET_E_FORMAT, "in.image and in.label do not belong together");
        goto done;
    }
    FET_TRY(FET_NEW(v->images, count));
    for (int64_t i = 0; i < count; i++)
        v->images[i / (3 * hw) * 3 * hw + i % hw * 3 + i / hw % 3] = (float)planes[i];
    FET_TRY(parity_doubles(v->c, "param.channel_bn.running_mean", &running, &count));
    FET_TRY(FET_NEW(v->mean, count));
    FET_TRY(FET_NEW(v->var, count));
    fet__convert(v->mean, FET_F32, running, FET_F64, count);
    fet__free(running);
    running = NULL;
    FET_TRY(parity_doubles(v->c, "param.channel_bn.running_var", &running, &count));
    fet__convert(v->var, FET_F32, running, FET_F64, count);
done:
    fet__free(planes);
    fet__free(running);
    return st;
}

/* ---- the step ---------------------------------------------------------------------------------------------------------- */

/* Batch norm whose statistics are the batch's where "own" is above 0, else the running ones. */
static fet__node *normalise(fet__graph *g, fet__node *x)
{
    int64_t n = x ? x->shape.dim[1] : 1;
    fet__node *own =
        fet__compare(g, FET__GT, fet__input(g, "own", FET_F32, FET_SHAPE(1, 1)), fet__scalar(g, FET_F32, 0));
    fet__node *mean = fet__mean(g, x, 1), *centred = fet__sub(g, x, mean),
              *var = fet__mean(g, fet__mul(g, centred, centred), 1);

    fet__output(g, "mean", mean);
    fet__output(g, "var", var);
    mean = fet__where(g, own, mean, fet__input(g, "running_mean", FET_F32, FET_SHAPE(1, n)));
    var = fet__where(g, own, var, fet__input(g, "running_var", FET_F32, FET_SHAPE(1, n)));
    return fet__mul(g, fet__sub(g, x, mean), fet__unary(g, FET__OP_RSQRT, fet__shift(g, var, NORM_EPS)));
}

static fet_status add_update(clip_case *v, fet__graph *g, fet__node *loss)
{
    fet__node *leaf[64], *grad[64];
    char name[220];
    fet_status st;

    for (int i = 0; i < v->params; i++)
        leaf[i] = fet__leaf(g, v->param[i]);
    FET_TRY(fet__gradient(g, loss, leaf, v->params, false, grad));
    for (int i = 0; i < v->params; i++) {
        snprintf(name, sizeof name, "grad.%s", v->param[i]->name);
        fet__output(g, name, grad[i]);
    }
    FET_TRY(fet__optimizer_build(&v->o, g, v->m->store, leaf, grad, v->params));
done:
    return st;
}

static fet_status build(clip_case *v, bool train)
{
    fet__program_options po = {.reference = v->c->reference};
    fet__build b = {.dtype = FET_F32};
    fet__node *images, *labels, *features, *logits, *loss;
    fet__graph *g;
    fet_status st;

    FET_TRY(fet__graph_create(&v->g[train]));
    b.g = g = v->g[train];
    images = fet__input(g, "images", FET_F32, FET_SHAPE(v->batch, v->size, v->size, 3));
    labels = fet__input(g, "labels", FET_I32, FET_SHAPE(v->batch));
    FET_TRY(fet__model_build(v->m, &b, images, &features, &logits));
    fet__output(g, "feature", features);
    logits = fet__linear(g, normalise(g, features), fet__leaf(g, fet__params_find(v->m->store, "layers.0.weight")),
                         fet__leaf(g, fet__params_find(v->m->store, "layers.0.bias")));
    loss = fet__scale(g, fet__sum_all(g, fet__cross_entropy(g, logits, labels, 0)), 1.0 / v->batch);
    fet__output(g, "logits", logits);
    fet__output(g, "loss", loss);
    if (train)
        FET_TRY(add_update(v, g, loss));
    FET_TRY(fet__graph_status(g));
    FET_TRY(fet__program_create(&v->p[train], g, &po));
done:
    return st;
}

static fet_status clip_open(clip_case *v, parity_case *c)
{
    fet_status st;

    *v = (clip_case){.c = c,
                     .batch = (int)parity_number(c, "B", 1),
                     .classes = (int)parity_number(c, "ncls", 1),
                     .width = (int)parity_number(c, "w", 1),
                     .size = (int)parity_number(c, "res", 1)};
    v->o = (fet__optimizer_options){.kind = FET__SGD,
                                    .momentum = parity_number(c, "momentum", 0),
                                    .weight_decay = parity_number(c, "weight_decay", 0)};
    FET_TRY(open_model(v));
    FET_TRY(attach(v));
    FET_TRY(load_data(v));
    FET_TRY(build(v, false));
    FET_TRY(build(v, true));
done:
    return st;
}

static fet_status run(clip_case *v, bool train, int64_t batch, bool own)
{
    fet__program *p = v->p[train];
    int64_t values = (int64_t)v->batch * v->size * v->size * 3,
            n = fet__shape_count(&fet__params_find(v->m->store, "layers.0.weight")->shape) / v->classes;
    fet_status st;

    memcpy(fet__program_input(p, "images"), v->images + batch * values, (size_t)values * sizeof(float));
    fet__convert(fet__program_input(p, "labels"), FET_I32, v->labels + batch * v->batch, FET_F64, v->batch);
    *(float *)fet__program_input(p, "own") = own;
    memcpy(fet__program_input(p, "running_mean"), v->mean, (size_t)n * sizeof(float));
    memcpy(fet__program_input(p, "running_var"), v->var, (size_t)n * sizeof(float));
    FET_TRY(fet__program_run(p));
    for (int64_t i = 0; train && own && i < n; i++) {
        double mean = (double)((const float *)fet__program_output(p, "mean"))[i];
        double var = (double)((const float *)fet__program_output(p, "var"))[i] * v->batch / (v->batch - 1);
        v->mean[i] = (float)((1 - MOMENTUM) * (double)v->mean[i] + MOMENTUM * mean);
        v->var[i] = (float)((1 - MOMENTUM) * (double)v->var[i] + MOMENTUM * var);
    }
done:
    return st;
}

/* ---- what is compared ----------------------------------------------------------------------------------------------------- */

static fet_status compare(clip_case *v, const char *name, const void *values, double tolerance)
{
    const fet__entry *e = fet__tensors_find(v->c->t, name);

    if (!e || !values)
        return FET_FAIL(FET_E_FORMAT, "%s is absent", name);
    return parity_compare(v->c, name, values, FET_F32, fet__shape_count(&e->shape), PARITY_ABS, tolerance);
}

static fet_status compare_first(clip_case *v)
{
    fet__program *p = v->p[1];
    char own[200], name[220];
    fet_status st;

    FET_TRY(compare(v, "out.feature", fet__program_output(p, "feature"), 5e-6));
    FET_TRY(compare(v, "out.logits", fet__program_output(p, "logits"), 5e-5));
    FET_TRY(compare(v, "out.loss_first", fet__program_output(p, "loss"), 5e-5));
    FET_TRY(compare(v, "out.channel_bn.running_mean", v->mean, 1e-5));
    FET_TRY(compare(v, "out.channel_bn.running_var", v->var, 1e-5));
    for (int i = 0; i < fet__tensors_count(v->c->t); i++) {
        const fet__entry *e = fet__tensors_at(v->c->t, i);
        if (strncmp(e->name, "grad.", 5) != 0)
            continue;
        snprintf(name, sizeof name, "grad.%s", own_name(e->name + 5, own) ? own : "");
        if (!fet__program_output(p, name))
            return FET_FAIL(FET_E_FORMAT, "the model has no %s", e->name);
        FET_TRY(parity_compare(v->c, e->name, fet__program_output(p, name), FET_F32, fet__shape_count(&e->shape),
                               PARITY_MAX, 2e-5));
    }
done:
    return st;
}

static fet_status compare_final(clip_case *v)
{
    char own[200];
    fet_status st;

    FET_TRY(compare(v, "final.channel_bn.running_mean", v->mean, 1e-5));
    FET_TRY(compare(v, "final.channel_bn.running_var", v->var, 1e-5));
    for (int i = 0; i < fet__tensors_count(v->c->t); i++) {
        const char *name = fet__tensors_at(v->c->t, i)->name;
        const fet__param *p;
        if (strncmp(name, "final.", 6) != 0 || !own_name(name + 6, own))
            continue;
        p = fet__params_find(v->m->store, own);
        FET_TRY(compare(v, name, p ? p->data : NULL, 1e-5));
    }
done:
    return st;
}

static fet_status compare_evaluation(clip_case *v, const char *name)
{
    int64_t count = (int64_t)v->batch * v->classes;
    float *all = NULL;
    fet_status st;

    FET_TRY(FET_NEW(all, v->batches * count));
    for (int64_t i = 0; i < v->batches; i++) {
        FET_TRY(run(v, false, i, false));
        memcpy(all + i * count, fet__program_output(v->p[0], "logits"), (size_t)count * sizeof *all);
    }
    FET_TRY(compare(v, name, all, 1e-4));
done:
    fet__free(all);
    return st;
}

static fet_status check_training(parity_case *c, bool official)
{
    int64_t switched = (int64_t)parity_number(c, "official_bn_eval_from_step", 2);
    double loss[STEPS];
    clip_case v;
    fet_status st;

    FET_TRY(clip_open(&v, c));
    for (int64_t k = 0; k < STEPS; k++) {
        fet__optimizer_bind(&v.o, v.p[1], k, parity_number(c, "lr", 0));
        FET_TRY(run(&v, true, k % v.batches, !official || k < switched));
        loss[k] = (double)*(const float *)fet__program_output(v.p[1], "loss");
        if (k == 0 && !official)
            FET_TRY(compare_first(&v));
    }
    FET_TRY(parity_compare(c, official ? "out.loss_official" : "loss", loss, FET_F64, STEPS, PARITY_ABS, 5e-5));
    if (!official)
        FET_TRY(compare_final(&v));
    FET_TRY(compare_evaluation(&v, official ? "out.official.eval_logits" : "out.sane.eval_logits"));
done:
    clip_close(&v);
    return st;
}

static fet_status check_merge(parity_case *c)
{
    static const char block[] = "out.merged.transformer.resblocks.{i}.mlp.c_proj.*";
    fet__text merged = {0};
    char own[200];
    clip_case v;
    fet_status st;

    FET_TRY(clip_open(&v, c));
    FET_TRY(fet__model_merge(v.m, &merged));
    for (int i = 0; i < fet__tensors_count(c->t); i++) {
        const char *name = fet__tensors_at(c->t, i)->name;
        const fet__param *p;
        if (!fet__name_map(block, "blocks.{i}.mlp.fc2.*", name, own, sizeof own))
            continue;
        p = fet__params_find(v.m->store, own);
        FET_TRY(compare(&v, name, p ? p->data : NULL, 2e-6));
    }
done:
    fet__text_fini(&merged);
    clip_close(&v);
    return st;
}

fet_status parity_clip_visual_hydra(parity_case *c)
{
    fet_status st;

    FET_TRY(check_training(c, false));
    FET_TRY(check_training(c, true));
    FET_TRY(check_merge(c));
done:
    return st;
}
