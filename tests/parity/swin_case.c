/* Swin transformers out of golden files; see swin_case.h. Opening, names and batches are here; what is computed with them is in
 * swin_check.c. */
#include "parity/swin_case.h"

#include <jansson.h>
#include <string.h>

/* ---- names ----------------------------------------------------------------------------------------------- */

/* The goldens have the detection layout: what merges after stage S is layers.S.downsample there, layers.(S+1).downsample with us. */
const char *swin_name(const swin_case *v, const char *golden, char out[200])
{
    static const char backbone[] = "backbone.";
    const char *rest = strncmp(golden, backbone, sizeof backbone - 1) == 0 ? golden + sizeof backbone - 1 : golden;
    int stage = 0, end = 0;

    if (sscanf(rest, "layers.%d.downsample.%n", &stage, &end) == 1 && end > 0)
        snprintf(out, 200, "layers.%d.downsample.%s", stage + 1, rest + end);
    else
        snprintf(out, 200, "%s", rest);
    if (v->rename)
        v->rename(out);
    return out;
}

/* ---- parameters ------------------------------------------------------------------------------------------ */

static fet_status fill(const swin_case *v, const fet__entry *e, fet__param *p)
{
    double *values = NULL;
    fet_status st;

    if (!fet__shape_equal(&e->shape, &p->shape))
        return FET_FAIL(FET_E_FORMAT, "%s is %s, the model needs %s", e->name, fet__shape_text(&e->shape),
                        fet__shape_text(&p->shape));
    FET_TRY(parity_doubles(v->c, e->name, &values, NULL));
    FET_TRY(fet__param_own(p));
    fet__convert(p->data, p->dtype, values, FET_F64, fet__shape_count(&p->shape));
    p->loaded = true;
    p->version++;
    v->m->base_fingerprint[0] = '\0';
done:
    fet__free(values);
    return st;
}

static bool is_stage_norm(const char *name)
{
    int stage, end = 0;

    return sscanf(name, "norm%d.%n", &stage, &end) == 1 && end > 0;
}

fet_status swin_fill(swin_case *v)
{
    static const char prefix[] = "param.";
    fet_status st = FET_OK;
    char name[200];

    for (int i = 0; i < fet__tensors_count(v->c->t) && st == FET_OK; i++) {
        const fet__entry *e = fet__tensors_at(v->c->t, i);
        fet__param *p;
        if (strncmp(e->name, prefix, sizeof prefix - 1) != 0)
            continue;
        p = fet__params_find(v->m->store, swin_name(v, e->name + sizeof prefix - 1, name));
        if (p)
            st = fill(v, e, p);
        else if (!is_stage_norm(name))
            st = FET_FAIL(FET_E_FORMAT, "the model has no tensor %s (%s)", name, e->name);
    }
    for (int i = 0; i < fet__params_count(v->m->store) && st == FET_OK; i++) {
        const fet__param *p = fet__params_at(v->m->store, i);
        if (p->role == FET__PARAM && !p->loaded)
            st = FET_FAIL(FET_E_FORMAT, "the golden has no values for %s", p->name);
    }
    return st;
}

/* ---- opening --------------------------------------------------------------------------------------------- */

/* "[2, 2, 6, 2]" as "2+2+6+2". */
static fet_status list(const parity_case *c, const char *key, char out[64])
{
    json_t *j = json_loads(parity_text(c, key, ""), 0, NULL);
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; i < json_array_size(j) && used < 56; i++)
        used += (size_t)snprintf(out + used, 64 - used, "%s%d", i ? "+" : "",
                                 (int)json_integer_value(json_array_get(j, i)));
    json_decref(j);
    return used ? FET_OK : FET_FAIL(FET_E_FORMAT, "the metadata has no list %s", key);
}

/* in.0.image, in.1.image, ..; a training golden has in.images. */
static const fet__entry *find_set(const swin_case *v, int i, const char *what, char name[64])
{
    snprintf(name, 64, "in.%d.%s", i, what);
    if (!fet__tensors_find(v->c->t, name) && i == 0)
        snprintf(name, 64, "in.%ss", what);
    return fet__tensors_find(v->c->t, name);
}

static fet_status load_images(swin_case *v, const char *name, const fet__shape *s)
{
    int64_t count, hw = s->dim[s->rank - 2] * s->dim[s->rank - 1];
    double *planes = NULL;
    fet_status st;

    FET_TRY(parity_doubles(v->c, name, &planes, &count));
    FET_TRY(FET_NEW(v->images, count));
    for (int64_t i = 0; i < count; i++)
        v->images[i / (3 * hw) * 3 * hw + i % hw * 3 + i / hw % 3] = planes[i];
    v->batch = (int)s->dim[s->rank - 4];
    v->batches = count / (3 * hw * v->batch);
done:
    fet__free(planes);
    return st;
}

static fet_status open_model(swin_case *v, const fet__shape *s)
{
    fet__model_options o = {.crop_pct = -1};
    char arch[512], depths[64], heads[64];
    fet_status st;

    FET_TRY(list(v->c, "depths", depths));
    FET_TRY(list(v->c, "num_heads", heads));
    snprintf(arch, sizeof arch,
             "swin:dim=%.0f,depths=%s,heads=%s,window=%.0f,patch=%.0f,mlp=%.9g,classes=%.0f,img=%lldx%lld,norms=all,"
             "always_shift=%s",
             parity_number(v->c, "embed_dim", 0), depths, heads, parity_number(v->c, "window_size", 7),
             parity_number(v->c, "patch_size", 4), parity_number(v->c, "mlp_ratio", 4), parity_number(v->c, "ncls", 5),
             (long long)s->dim[s->rank - 2], (long long)s->dim[s->rank - 1], parity_text(v->c, "always_shift", "true"));
    o.arch = arch;
    FET_TRY(fet__model_open(&v->m, "none", &o));
    if (v->adapter)
        st = fet__model_attach(v->m, v->adapter);
done:
    return st;
}

fet_status swin_open(swin_case *v, int input)
{
    char image[64], label[64];
    const fet__entry *e;
    int64_t labels;
    fet_status st;

    v->input = input;
    for (v->inputs = 0; find_set(v, v->inputs, "image", image); v->inputs++)
        ;
    e = find_set(v, input, "image", image);
    if (!e || e->shape.rank < 4 || e->shape.dim[e->shape.rank - 3] != 3 || !find_set(v, input, "label", label))
        return FET_FAIL(FET_E_FORMAT, "image set %d is absent or has another shape", input);
    FET_TRY(open_model(v, &e->shape));
    FET_TRY(swin_fill(v));
    FET_TRY(load_images(v, image, &e->shape));
    FET_TRY(parity_doubles(v->c, label, &v->labels, &labels));
    if (labels != v->batches * v->batch || labels == 0)
        st = FET_FAIL(FET_E_FORMAT, "%lld labels for %s", (long long)labels, fet__shape_text(&e->shape));
done:
    return st;
}

void swin_close(swin_case *v)
{
    fet__model_close(v->m);
    fet__free(v->images);
    fet__free(v->labels);
    v->m = NULL;
    v->images = v->labels = NULL;
}

void swin_feed(const swin_case *v, void *images, fet_dtype type, int32_t *labels, int64_t i)
{
    int64_t values = (int64_t)v->batch * v->m->arch.height * v->m->arch.width * 3;

    fet__convert(images, type, v->images + i * values, FET_F64, values);
    fet__convert(labels, FET_I32, v->labels + i * v->batch, FET_F64, v->batch);
}
