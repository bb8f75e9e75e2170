/* Vision transformers out of golden files; see vit_case.h. Opening, names and batches are here; what is
 * computed with them is in vit_check.c. */
#include "parity/vit_case.h"

#include <string.h>

/* ---- names ----------------------------------------------------------------------------------------------- */

#define DEEP_PROMPTS "deep_prompt_embeddings" /* [blocks - 1, prompts, dim]: of the second block and on */

typedef struct renaming {
    const char *golden, *own;
} renaming;

static void replace(char text[200], const renaming *r)
{
    char rest[200], *at = strstr(text, r->golden);

    if (!at)
        return;
    snprintf(rest, sizeof rest, "%s", at + strlen(r->golden));
    snprintf(at, (size_t)(text + 200 - at), "%s%s", r->own, rest);
}

const char *vit_name(const char *golden, char out[200])
{
    static const renaming table[] = {{"prompt_embeddings", "blocks.0.vpt.prompts"},
                                     {"FacTu", "fact.d48.u"},
                                     {"FacTv", "fact.d48.v"},
                                     {"FacTc", "fact.c"},
                                     {"_FacTs.", ".fact.s."},
                                     {".adapter_attn.conv_", ".attn.qkv.repadapter.conv_"},
                                     {".adapter_mlp.conv_", ".mlp.fc1.repadapter.conv_"},
                                     {"patch_embed.ssf_scale_1", "patch_embed.proj.ssf.scale"},
                                     {"patch_embed.ssf_shift_1", "patch_embed.proj.ssf.shift"},
                                     {".attn.ssf_scale_1", ".attn.qkv.ssf.scale"},
                                     {".attn.ssf_shift_1", ".attn.qkv.ssf.shift"},
                                     {".attn.ssf_scale_2", ".attn.proj.ssf.scale"},
                                     {".attn.ssf_shift_2", ".attn.proj.ssf.shift"},
                                     {".mlp.ssf_scale_1", ".mlp.fc1.ssf.scale"},
                                     {".mlp.ssf_shift_1", ".mlp.fc1.ssf.shift"},
                                     {".mlp.ssf_scale_2", ".mlp.fc2.ssf.scale"},
                                     {".mlp.ssf_shift_2", ".mlp.fc2.ssf.shift"},
                                     {".ssf_scale_1", ".norm1.ssf.scale"},
                                     {".ssf_shift_1", ".norm1.ssf.shift"},
                                     {".ssf_scale_2", ".norm2.ssf.scale"},
                                     {".ssf_shift_2", ".norm2.ssf.shift"},
                                     {"ssf_scale_1", "norm.ssf.scale"},
                                     {"ssf_shift_1", "norm.ssf.shift"},
                                     {".adapter_attn.down.", ".my_module_1.project1."},
                                     {".adapter_attn.up.", ".my_module_1.project2."},
                                     {".adapter_mlp.down.", ".my_module_2.project1."},
                                     {".adapter_mlp.up.", ".my_module_2.project2."},
                                     {".adaptmlp.down_proj.", ".my_module_1.project1."},
                                     {".adaptmlp.up_proj.", ".my_module_1.project2."},
                                     {".attn.hydra_proj_", ".attn.proj.hydra."},
                                     {".mlp.hydra_mlp_", ".mlp.fc2.hydra."},
                                     {".down_proj.", ".down."},
                                     {".up_proj.", ".up."},
                                     {".lora_q_", ".q.lora."},
                                     {".lora_k_", ".k.lora."},
                                     {".lora_v_", ".v.lora."}};
    size_t length;

    snprintf(out, 190, "%s", golden);
    for (size_t i = 0; i < FET_COUNT(table); i++)
        replace(out, &table[i]);
    length = strlen(out);
    if (strstr(out, ".lora.") && !strstr(out, ".weight") && length + sizeof ".weight" <= 200)
        memcpy(out + length, ".weight", sizeof ".weight");
    return out;
}

int vit_parts(const fet__entry *e)
{
    return strstr(e->name, DEEP_PROMPTS) ? (int)e->shape.dim[0] : 1;
}

const char *vit_part_name(const char *golden, int part, char out[200])
{
    if (!strstr(golden, DEEP_PROMPTS))
        return vit_name(golden, out);
    snprintf(out, 200, "blocks.%d.vpt.prompts", part + 1);
    return out;
}

/* ---- parameters ------------------------------------------------------------------------------------------ */

static fet_status fill(vit_case *v, const parity_case *from, const fet__entry *e, int part, fet__param *p)
{
    int64_t count = fet__shape_count(&p->shape);
    double *values = NULL;
    fet_status st;

    if (fet__shape_count(&e->shape) != count * vit_parts(e) ||
        (vit_parts(e) == 1 && !fet__shape_equal(&e->shape, &p->shape)))
        return FET_FAIL(FET_E_FORMAT, "%s is %s, the model needs %s", e->name, fet__shape_text(&e->shape),
                        fet__shape_text(&p->shape));
    FET_TRY(parity_doubles(from, e->name, &values, NULL));
    FET_TRY(fet__param_own(p));
    fet__convert(p->data, p->dtype, values + part * count, FET_F64, count);
    p->loaded = true;
    p->version++;
    v->m->base_fingerprint[0] = '\0';
done:
    fet__free(values);
    return st;
}

/* Every param.* must find its place, and afterwards every parameter its values. */
static fet_status fill_all(vit_case *v, const parity_case *from)
{
    fet_status st = FET_OK;
    char name[200];

    for (int i = 0; i < fet__tensors_count(from->t) && st == FET_OK; i++) {
        const fet__entry *e = fet__tensors_at(from->t, i);
        for (int part = 0; strncmp(e->name, "param.", 6) == 0 && part < vit_parts(e) && st == FET_OK; part++) {
            fet__param *p = fet__params_find(v->m->store, vit_part_name(e->name + 6, part, name));
            st = p ? fill(v, from, e, part, p)
                   : FET_FAIL(FET_E_FORMAT, "the model has no tensor %s (%s)", name, e->name);
        }
    }
    return st;
}

static fet_status all_filled(const vit_case *v)
{
    for (int i = 0; i < fet__params_count(v->m->store); i++) {
        const fet__param *p = fet__params_at(v->m->store, i);
        if (p->role == FET__PARAM && !p->loaded)
            return FET_FAIL(FET_E_FORMAT, "the golden has no values for %s", p->name);
    }
    return FET_OK;
}

/* ---- opening --------------------------------------------------------------------------------------------- */

static fet_status open_base(vit_case *v)
{
    const char *name = parity_text(v->c, "base_file", NULL);
    char *path;
    fet_status st;

    v->base = *v->c;
    if (!name)
        return FET_OK;
    if (!(path = fet__path_join(v->c->folder, name)))
        return FET_E_NOMEM;
    st = fet__tensors_open(&v->base_file, path);
    fet__free(path);
    if (st == FET_OK)
        v->base.t = v->base_file;
    return st;
}

/* The file's own option, or its base file's. */
static double option(const vit_case *v, const char *key, double fallback)
{
    return parity_number(v->c, key, parity_number(&v->base, key, fallback));
}

static fet_status open_model(vit_case *v)
{
    fet__model_options o = {.crop_pct = -1};
    char arch[256];

    v->depth = (int)option(v, "depth", 1);
    v->batch = (int)option(v, "batch", 1);
    snprintf(arch, sizeof arch, "vit:dim=%.0f,depth=%d,heads=%.0f,patch=%.0f,img=%.0f,mlp=%.9g,classes=%.0f,eps=%.9g",
             option(v, "dim", 0), v->depth, option(v, "heads", 0), option(v, "p", 0), option(v, "img", 0),
             option(v, "ratio", 4), option(v, "ncls", 0), option(v, "ln_eps", 1e-6));
    o.arch = arch;
    return fet__model_open(&v->m, "none", &o);
}

/* in.image [.., B, C, H, W] -> [.., B, H, W, C]. */
static fet_status load_images(vit_case *v, const parity_case *from, const fet__entry *e)
{
    double *planes = NULL;
    int64_t c, hw, count, images;
    fet_status st;

    if (e->shape.rank < 4 || e->shape.dim[e->shape.rank - 3] != 3 ||
        e->shape.dim[e->shape.rank - 2] != v->m->arch.height || e->shape.dim[e->shape.rank - 1] != v->m->arch.width)
        return FET_FAIL(FET_E_FORMAT, "in.image is %s", fet__shape_text(&e->shape));
    FET_TRY(parity_doubles(from, "in.image", &planes, &count));
    FET_TRY(FET_NEW(v->images, count));
    c = 3;
    hw = (int64_t)v->m->arch.height * v->m->arch.width;
    images = count / (c * hw);
    for (int64_t i = 0; i < count; i++)
        v->images[i / (c * hw) * c * hw + i % hw * c + i / hw % c] = planes[i];
    v->batches = images / v->batch;
done:
    fet__free(planes);
    return st;
}

static fet_status load_batches(vit_case *v)
{
    const fet__entry *e = fet__tensors_find(v->c->t, "in.image");
    const parity_case *from = e ? v->c : &v->base;
    int64_t labels;
    fet_status st;

    if (!e && !(e = fet__tensors_find(from->t, "in.image")))
        return FET_FAIL(FET_E_FORMAT, "in.image is absent");
    FET_TRY(load_images(v, from, e));
    FET_TRY(parity_doubles(from, "in.label", &v->labels, &labels));
    if (labels != v->batches * v->batch || labels == 0)
        st = FET_FAIL(FET_E_FORMAT, "%lld labels for %s in batches of %d", (long long)labels,
                      fet__shape_text(&e->shape), v->batch);
done:
    return st;
}

fet_status vit_open(vit_case *v, parity_case *c, const char *adapter)
{
    fet_status st;

    *v = (vit_case){.c = c};
    FET_TRY(open_base(v));
    FET_TRY(open_model(v));
    FET_TRY(fill_all(v, &v->base));
    FET_TRY(all_filled(v));
    if (adapter) {
        FET_TRY(fet__model_attach(v->m, adapter));
        FET_TRY(fill_all(v, c));
        FET_TRY(all_filled(v));
    }
    FET_TRY(load_batches(v));
done:
    return st;
}

void vit_close(vit_case *v)
{
    fet__model_close(v->m);
    fet__tensors_close(v->base_file);
    fet__free(v->images);
    fet__free(v->labels);
}

void vit_feed(const vit_case *v, void *images, fet_dtype type, int32_t *labels, int64_t i)
{
    int64_t values = (int64_t)v->batch * v->m->arch.height * v->m->arch.width * 3;

    fet__convert(images, type, v->images + i * values, FET_F64, values);
    fet__convert(labels, FET_I32, v->labels + i * v->batch, FET_F64, v->batch);
}
