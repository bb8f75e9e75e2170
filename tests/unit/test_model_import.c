/* Files with the names and layouts of other libraries open to the same tensors, bit for bit: containers, prefixes, fused and split
 * layers, transposed kernels, patch merging's order. What is missing, doubled or misshapen is said by name. */
#include "unit/import_fixture.h"

#define VIT "vit:dim=64,depth=2,heads=1,patch=4,img=8,mlp=2,classes=5"
#define SWIN "swin:dim=32,depths=2+2+2,heads=1+2+4,window=2,patch=2,img=16,mlp=2,classes=5"

static fet_status open_as(fet__model **m, const char *path, const char *arch, const char *weights)
{
    fet__model_options o = {.arch = arch, .crop_pct = -1, .weights = weights};

    *m = NULL;
    return fet__model_open(m, path, &o);
}

static void same_tensors(const fet__model *a, const fet__model *b)
{
    assert_int_equal(fet__params_count(a->store), fet__params_count(b->store));
    for (int i = 0; i < fet__params_count(a->store); i++) {
        const fet__param *p = fet__params_at(a->store, i), *q = fet__params_find(b->store, p->name);
        if (!q || !fet__shape_equal(&p->shape, &q->shape) || memcmp(p->data, q->data, (size_t)p->bytes) != 0)
            fail_msg("%s differs or is absent", p->name);
    }
}

static fet__model *scattered(const char *arch)
{
    fet__model *m = tiny(arch);

    scatter(m, false, 0.3);
    return m;
}

/* Write `arch` in foreign names, open it, compare every tensor. */
static fet__model *round_trip(const char *arch, const row *rows, const char *prefix, const char *source)
{
    const char *path = in_folder("foreign.safetensors");
    fet__model *m = scattered(arch), *again;
    fet__text t = {0};
    foreign f = {.count = 0};
    char heads[8] = "1";

    if (strstr(arch, "heads="))
        snprintf(heads, sizeof heads, "%.1s", strstr(arch, "heads=") + 6);
    write_foreign(&f, m, rows, prefix, atoi(heads));
    save(&f, path);
    release(&f);
    listen();
    assert_ok(open_as(&again, path, NULL, NULL));
    same_tensors(m, again);
    if (source && !strstr(notes, source))
        fail_msg("'%s' is not in the notes: %s", source, notes);
    fet_set_log(NULL, NULL);
    again->arch.class_->print(&again->arch, &t);
    if (strncmp(t.s, arch, strlen("vit:dim=12,depth=2,heads=3")) != 0)
        fail_msg("recognised as %s", t.s);
    fet__text_fini(&t);
    fet__model_close(m);
    return again;
}

/* ---- vision transformers ----------------------------------------------------------------------------------------- */

static void timm_with_prefixes(void **state)
{
    static const row none[] = {{0}};
    static const char *const prefixes[] = {"",       "module.",      "backbone.",        "state_dict/module.",
                                           "model/", "net/encoder.", "student/backbone."};

    (void)state;
    for (size_t i = 0; i < FET_COUNT(prefixes); i++)
        fet__model_close(round_trip(VIT, none, prefixes[i], NULL));
}

#define TV "encoder.layers.encoder_layer_{i}."
static void torchvision(void **state)
{
    static const row rows[] = {{"cls_token", "class_token", SAME},
                               {"patch_embed.proj.*", "conv_proj.*", SAME},
                               {"pos_embed", "encoder.pos_embedding", SAME},
                               {"blocks.{i}.norm1.*", TV "ln_1.*", SAME},
                               {"blocks.{i}.attn.qkv.weight", TV "self_attention.in_proj_weight", SAME},
                               {"blocks.{i}.attn.qkv.bias", TV "self_attention.in_proj_bias", SAME},
                               {"blocks.{i}.attn.proj.*", TV "self_attention.out_proj.*", SAME},
                               {"blocks.{i}.norm2.*", TV "ln_2.*", SAME},
                               {"blocks.{i}.mlp.fc1.*", TV "mlp.0.*", SAME},
                               {"blocks.{i}.mlp.fc2.*", TV "mlp.3.*", SAME},
                               {"norm.*", "encoder.ln.*", SAME},
                               {"head.*", "heads.head.*", SAME},
                               {0}};
    fet__model *m;

    (void)state;
    m = round_trip(VIT, rows, "", "torchvision ViT");
    assert_true(m->input.filter == FET__BILINEAR && m->input.crop_pct == 0.875 && m->input.mean[0] == 0.485f);
    fet__model_close(m);
    fet__model_close(round_trip(VIT, rows, "state_dict/module.", "torchvision ViT"));
}

static void huggingface(void **state)
{
    fet__model *m;
    fet__text t = {0};

    (void)state;
    m = round_trip(VIT, huggingface_rows, "vit.", "Hugging Face ViT");
    m->arch.class_->print(&m->arch, &t);
    assert_non_null(strstr(t.s, "eps=1e-12"));
    assert_true(m->input.mean[0] == 0.5f && m->input.crop_pct == 0);
    fet__text_fini(&t);
    fet__model_close(m);
}

static void write_text(const char *name, const char *text)
{
    FILE *f = fopen(in_folder(name), "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0 && fclose(f) == 0);
}

/* The folder's configuration says heads, eps, activation, class names and what is done to pictures. */
static void huggingface_folder(void **state)
{
    fet__model *m = scattered("vit:dim=64,depth=2,heads=4,patch=4,img=8,mlp=2,classes=3"), *again;
    fet__text t = {0};
    foreign f = {.count = 0};

    (void)state;
    write_foreign(&f, m, huggingface_rows, "vit.", 4);
    save(&f, in_folder("model.safetensors"));
    release(&f);
    write_text("config.json",
               "{\"model_type\": \"vit\", \"num_attention_heads\": 4, \"layer_norm_eps\": 1e-5, \"hidden_act\": "
               "\"gelu\", \"image_size\": 8, \"id2label\": {\"0\": \"crane\", \"2\": \"owl\", \"1\": \"crane\"}}");
    write_text(
        "preprocessor_config.json",
        "{\"do_normalize\": true, \"image_mean\": [0.1, 0.2, 0.3], \"image_std\": [0.4, 0.5, 0.6], \"resample\": 3, "
        "\"size\": {\"shortest_edge\": 10}, \"do_center_crop\": true, \"crop_size\": {\"height\": 8, \"width\": 8}}");
    listen();
    assert_ok(open_as(&again, folder, NULL, NULL));
    assert_non_null(strstr(notes, "as in its preprocessor_config.json"));
    fet_set_log(NULL, NULL);
    same_tensors(m, again);
    again->arch.class_->print(&again->arch, &t);
    assert_non_null(strstr(t.s, "heads=4"));
    assert_non_null(strstr(t.s, "eps=1e-05"));
    assert_int_equal(again->class_count, 3);
    assert_string_equal(again->classes[0], "crane");
    assert_string_equal(again->classes[1], "crane #1");
    assert_string_equal(again->classes[2], "owl");
    assert_true(again->input.mean[2] == 0.3f && again->input.std[0] == 0.4f && again->input.filter == FET__BICUBIC);
    assert_true(again->input.crop_pct == 0.8 && again->input.height == 8);
    fet__text_fini(&t);
    fet__model_close(again);
    write_text("config.json", "{\"hidden_act\": \"relu\"}");
    assert_refused(open_as(&again, folder, NULL, NULL), FET_E_FORMAT,
                   "config.json: activation 'relu' is not supported");
    write_text("config.json", "[1, 2");
    assert_refused(open_as(&again, folder, NULL, NULL), FET_E_FORMAT, "config.json: malformed JSON");
    fet__model_close(m);
    remove(in_folder("config.json"));
    remove(in_folder("preprocessor_config.json"));
    remove(in_folder("model.safetensors"));
}

#define FLAX "Transformer/encoderblock_{i}/"
#define FLAX_ROWS(norm2, attention, mlp)                                                                               \
    {"cls_token", "cls", SAME}, {"patch_embed.proj.weight", "embedding/kernel", HWIO},                                 \
        {"patch_embed.proj.bias", "embedding/bias", SAME},                                                             \
        {"blocks.{i}.norm1.weight", FLAX "LayerNorm_0/scale", SAME},                                                   \
        {"blocks.{i}.norm1.bias", FLAX "LayerNorm_0/bias", SAME},                                                      \
        {"blocks.{i}.attn.qkv.weight", FLAX attention "/query/kernel", HEADS0},                                        \
        {"blocks.{i}.attn.qkv.weight", FLAX attention "/key/kernel", HEADS1},                                          \
        {"blocks.{i}.attn.qkv.weight", FLAX attention "/value/kernel", HEADS2},                                        \
        {"blocks.{i}.attn.qkv.bias", FLAX attention "/query/bias", HEADBIAS0},                                         \
        {"blocks.{i}.attn.qkv.bias", FLAX attention "/key/bias", HEADBIAS1},                                           \
        {"blocks.{i}.attn.qkv.bias", FLAX attention "/value/bias", HEADBIAS2},                                         \
        {"blocks.{i}.attn.proj.weight", FLAX attention "/out/kernel", HEADSOUT},                                       \
        {"blocks.{i}.attn.proj.bias", FLAX attention "/out/bias", SAME},                                               \
        {"blocks.{i}.norm2.weight", FLAX norm2 "/scale", SAME}, {"blocks.{i}.norm2.bias", FLAX norm2 "/bias", SAME},   \
        {"blocks.{i}.mlp.fc1.weight", FLAX mlp "/Dense_0/kernel", TURNED},                                             \
        {"blocks.{i}.mlp.fc1.bias", FLAX mlp "/Dense_0/bias", SAME},                                                   \
        {"blocks.{i}.mlp.fc2.weight", FLAX mlp "/Dense_1/kernel", TURNED},                                             \
        {"blocks.{i}.mlp.fc2.bias", FLAX mlp "/Dense_1/bias", SAME},                                                   \
        {"norm.weight", "Transformer/encoder_norm/scale", SAME}, {"norm.bias", "Transformer/encoder_norm/bias", SAME}, \
        {"head.weight", "head/kernel", TURNED},                                                                        \
    {                                                                                                                  \
        "head.bias", "head/bias", SAME                                                                                 \
    }

static void flax(void **state)
{
    static const row rows[] = {{"pos_embed", "Transformer/posembed_input/pos_embedding", SAME},
                               FLAX_ROWS("LayerNorm_2", "MultiHeadDotProductAttention_1", "MlpBlock_3"),
                               {0}};
    static const row big[] = {{"pos_embed", "pos_embedding", SAME},
                              FLAX_ROWS("LayerNorm_1", "MultiHeadDotProductAttention_0", "MlpBlock_0"),
                              {0}};

    (void)state;
    fet__model_close(round_trip(TINY, rows, "", "Google ViT (Flax)")); /* its kernels tell the three heads */
    fet__model_close(round_trip(TINY, rows, "opt/target/", "Google ViT (Flax)"));
    fet__model_close(round_trip(TINY, big, "params/", "big_vision ViT (Flax)"));
}

/* big_vision's scan over layers: one tensor with the layers in front. */
static void flax_stacked(void **state)
{
    static const row rows[] = {{"pos_embed", "pos_embedding", SAME},
                               FLAX_ROWS("LayerNorm_1", "MultiHeadDotProductAttention_0", "MlpBlock_0"),
                               {0}};
    const char *path = in_folder("stacked.safetensors");
    fet__model *m = scattered(TINY), *again;
    foreign f = {.count = 0}, stacked = {.count = 0};

    (void)state;
    write_foreign(&f, m, rows, "params/", 3);
    for (int i = 0; i < f.count; i++) {
        const fet__entry *a = &f.e[i], *b = a;
        fet__entry *e = &stacked.e[stacked.count];
        char name[200], second[200];
        if (!fet__name_map("params/Transformer/encoderblock_{i}/*", "params/Transformer/encoderblock/*", a->name, name,
                           sizeof name)) {
            float *copy = reserve(a->bytes / 4);
            memcpy(copy, a->data, (size_t)a->bytes);
            *e = *a;
            e->name = strdup(a->name);
            e->data = copy;
            stacked.count++;
            continue;
        }
        if (!strstr(a->name, "encoderblock_0"))
            continue;
        snprintf(second, sizeof second, "params/Transformer/encoderblock_1/%s",
                 strstr(a->name, "encoderblock_0/") + strlen("encoderblock_0/"));
        for (int k = 0; k < f.count; k++)
            if (strcmp(f.e[k].name, second) == 0)
                b = &f.e[k];
        float *both = reserve(a->bytes / 2);
        memcpy(both, a->data, (size_t)a->bytes);
        memcpy(both + a->bytes / 4, b->data, (size_t)b->bytes);
        *e = *a;
        e->name = strdup(name);
        e->data = both;
        e->bytes = a->bytes * 2;
        memmove(e->shape.dim + 1, a->shape.dim, sizeof a->shape.dim[0] * (size_t)a->shape.rank);
        e->shape.dim[0] = 2;
        e->shape.rank = a->shape.rank + 1;
        stacked.count++;
    }
    save(&stacked, path);
    assert_ok(open_as(&again, path, NULL, NULL));
    same_tensors(m, again);
    release(&f);
    release(&stacked);
    fet__model_close(again);
    fet__model_close(m);
}

/* ---- CLIP ------------------------------------------------------------------------------------------------------------ */

#define CLIP                                                                                                           \
    "vit:dim=64,depth=2,heads=1,patch=4,img=8,mlp=2,classes=0,pre_norm=true,patch_bias=false,quick_gelu=true,proj=24," \
    "eps=1e-05"
#define RES "transformer.resblocks.{i}."
static void openai_clip(void **state)
{
    static const row rows[] = {{"cls_token", "class_embedding", FLAT},
                               {"pos_embed", "positional_embedding", FLAT},
                               {"patch_embed.proj.weight", "conv1.weight", SAME},
                               {"norm_pre.*", "ln_pre.*", SAME},
                               {"blocks.{i}.norm1.*", RES "ln_1.*", SAME},
                               {"blocks.{i}.attn.qkv.weight", RES "attn.in_proj_weight", SAME},
                               {"blocks.{i}.attn.qkv.bias", RES "attn.in_proj_bias", SAME},
                               {"blocks.{i}.attn.proj.*", RES "attn.out_proj.*", SAME},
                               {"blocks.{i}.norm2.*", RES "ln_2.*", SAME},
                               {"blocks.{i}.mlp.fc1.*", RES "mlp.c_fc.*", SAME},
                               {"blocks.{i}.mlp.fc2.*", RES "mlp.c_proj.*", SAME},
                               {"norm.*", "ln_post.*", SAME},
                               {"proj.weight", "proj", TURNED},
                               {0}};
    fet__model *m = round_trip(CLIP, rows, "visual.", "OpenAI CLIP");
    fet__text t = {0};

    (void)state;
    m->arch.class_->print(&m->arch, &t);
    if (strcmp(t.s, CLIP) != 0)
        fail_msg("recognised as %s", t.s);
    assert_int_equal(m->arch.feature_size, 24);
    assert_true(m->input.mean[0] == 0.48145466f && m->input.crop_pct == 1);
    fet__text_fini(&t);
    fet__model_close(m);
}

#define HC "encoder.layers.{i}."
static void huggingface_clip(void **state)
{
    static const row rows[] = {{"cls_token", "embeddings.class_embedding", FLAT},
                               {"pos_embed", "embeddings.position_embedding.weight", FLAT},
                               {"patch_embed.proj.weight", "embeddings.patch_embedding.weight", SAME},
                               {"norm_pre.*", "pre_layrnorm.*", SAME},
                               {"blocks.{i}.norm1.*", HC "layer_norm1.*", SAME},
                               {"blocks.{i}.attn.qkv.*", HC "self_attn.q_proj.*", PART0},
                               {"blocks.{i}.attn.qkv.*", HC "self_attn.k_proj.*", PART1},
                               {"blocks.{i}.attn.qkv.*", HC "self_attn.v_proj.*", PART2},
                               {"blocks.{i}.attn.proj.*", HC "self_attn.out_proj.*", SAME},
                               {"blocks.{i}.norm2.*", HC "layer_norm2.*", SAME},
                               {"blocks.{i}.mlp.*", HC "mlp.*", SAME},
                               {"norm.*", "post_layernorm.*", SAME},
                               {"proj.weight", "!visual_projection.weight", SAME},
                               {0}};

    (void)state;
    fet__model_close(round_trip(CLIP, rows, "vision_model.", "Hugging Face CLIP"));
}

/* ---- distilled: two heads on two tokens, averaged, are one on both ------------------------------------------------------- */

static void distilled(void **state)
{
    const char *path = in_folder("deit.safetensors");
    fet__model *m = scattered("vit:dim=64,depth=1,heads=1,patch=4,img=8,mlp=2,classes=0,distilled=true"), *again;
    const fet__param *w, *b;
    foreign f = {.count = 0};
    static const row none[] = {{0}};

    (void)state;
    write_foreign(&f, m, none, "model/", 1);
    for (int k = 0; k < 2; k++) {
        add_tensor(&f, k ? "model/head_dist.weight" : "model/head.weight", FET_F32, FET_SHAPE(3, 64));
        fet__init_fill((void *)(uintptr_t)f.e[f.count - 1].data, FET_F32, 192, (fet__init){FET__INIT_NORMAL, 1},
                       4 + (uint64_t)k, "w");
        add_tensor(&f, k ? "model/head_dist.bias" : "model/head.bias", FET_F32, FET_SHAPE(3));
        ((float *)(uintptr_t)f.e[f.count - 1].data)[2] = k ? 3 : 1;
    }
    save(&f, path);
    assert_ok(open_as(&again, path, NULL, NULL));
    assert_int_equal(again->arch.classes, 3);
    assert_int_equal(again->arch.feature_size, 128);
    w = fet__params_find(again->store, "head.weight");
    b = fet__params_find(again->store, "head.bias");
    for (int r = 0; r < 3; r++)
        for (int c = 0; c < 64; c++) {
            assert_true(((float *)w->data)[r * 128 + c] == 0.5f * ((const float *)f.e[f.count - 4].data)[r * 64 + c]);
            assert_true(((float *)w->data)[r * 128 + 64 + c] ==
                        0.5f * ((const float *)f.e[f.count - 2].data)[r * 64 + c]);
        }
    assert_true(((float *)b->data)[2] == 2);
    release(&f);
    fet__model_close(again);
    fet__model_close(m);
}

/* ---- Swin ------------------------------------------------------------------------------------------------------------------ */

static const row microsoft_rows[] = {{"layers.1.downsample.*", "layers.0.downsample.*", SAME},
                                     {"layers.2.downsample.*", "layers.1.downsample.*", SAME},
                                     {"head.fc.*", "head.*", SAME},
                                     {0}};

static void swin(void **state)
{
    static const row timm[] = {{0}};
    static const row mm[] = {{"patch_embed.proj.*", "patch_embed.projection.*", SAME},
                             {"layers.{s}.blocks.{i}.attn.*", "stages.{s}.blocks.{i}.attn.w_msa.*", SAME},
                             {"layers.{s}.blocks.{i}.mlp.fc1.*", "stages.{s}.blocks.{i}.ffn.layers.0.0.*", SAME},
                             {"layers.{s}.blocks.{i}.mlp.fc2.*", "stages.{s}.blocks.{i}.ffn.layers.1.*", SAME},
                             {"layers.{s}.blocks.{i}.norm1.*", "stages.{s}.blocks.{i}.norm1.*", SAME},
                             {"layers.{s}.blocks.{i}.norm2.*", "stages.{s}.blocks.{i}.norm2.*", SAME},
                             {"layers.1.downsample.*", "stages.0.downsample.*", MERGED},
                             {"layers.2.downsample.*", "stages.1.downsample.*", MERGED},
                             {"head.fc.*", "!head.fc.*", SAME},
                             {0}};
    static const row hf[] = {
        {"patch_embed.proj.*", "embeddings.patch_embeddings.projection.*", SAME},
        {"patch_embed.norm.*", "embeddings.norm.*", SAME},
        {"layers.{s}.blocks.{i}.norm1.*", "encoder.layers.{s}.blocks.{i}.layernorm_before.*", SAME},
        {"layers.{s}.blocks.{i}.norm2.*", "encoder.layers.{s}.blocks.{i}.layernorm_after.*", SAME},
        {"layers.{s}.blocks.{i}.attn.relative_position_bias_table",
         "encoder.layers.{s}.blocks.{i}.attention.self.relative_position_bias_table", SAME},
        {"layers.{s}.blocks.{i}.attn.qkv.*", "encoder.layers.{s}.blocks.{i}.attention.self.query.*", PART0},
        {"layers.{s}.blocks.{i}.attn.qkv.*", "encoder.layers.{s}.blocks.{i}.attention.self.key.*", PART1},
        {"layers.{s}.blocks.{i}.attn.qkv.*", "encoder.layers.{s}.blocks.{i}.attention.self.value.*", PART2},
        {"layers.{s}.blocks.{i}.attn.proj.*", "encoder.layers.{s}.blocks.{i}.attention.output.dense.*", SAME},
        {"layers.{s}.blocks.{i}.mlp.fc1.*", "encoder.layers.{s}.blocks.{i}.intermediate.dense.*", SAME},
        {"layers.{s}.blocks.{i}.mlp.fc2.*", "encoder.layers.{s}.blocks.{i}.output.dense.*", SAME},
        {"layers.1.downsample.*", "encoder.layers.0.downsample.*", SAME},
        {"layers.2.downsample.*", "encoder.layers.1.downsample.*", SAME},
        {"norm.*", "layernorm.*", SAME},
        {"head.fc.*", "!classifier.*", SAME},
        {0}};
#define TVS(n, at)                                                                                                     \
    {"layers." n ".blocks.{i}.mlp.fc1.*", "features." at ".{i}.mlp.0.*", SAME},                                        \
        {"layers." n ".blocks.{i}.mlp.fc2.*", "features." at ".{i}.mlp.3.*", SAME},                                    \
        {"layers." n ".blocks.{i}.attn.*", "features." at ".{i}.attn.*", SAME},                                        \
        {"layers." n ".blocks.{i}.norm1.*", "features." at ".{i}.norm1.*", SAME},                                      \
    {                                                                                                                  \
        "layers." n ".blocks.{i}.norm2.*", "features." at ".{i}.norm2.*", SAME                                         \
    }
    static const row tv[] = {{"patch_embed.proj.*", "features.0.0.*", SAME},
                             {"patch_embed.norm.*", "features.0.2.*", SAME},
                             TVS("0", "1"),
                             TVS("1", "3"),
                             TVS("2", "5"),
                             {"layers.1.downsample.*", "features.2.*", SAME},
                             {"layers.2.downsample.*", "features.4.*", SAME},
                             {"head.fc.*", "head.*", SAME},
                             {0}};

    (void)state;
    fet__model_close(round_trip(SWIN, timm, "", NULL));
    fet__model_close(round_trip(SWIN, microsoft_rows, "model/", "read as Swin"));
    fet__model_close(round_trip(SWIN, mm, "backbone.", "mm libraries"));
    fet__model_close(round_trip(SWIN, hf, "swin.", "Hugging Face Swin"));
    fet__model_close(round_trip(SWIN, tv, "", "torchvision Swin"));
}

/* ---- containers, leftovers, refusals -------------------------------------------------------------------------------------- */

static void containers(void **state)
{
    static const row none[] = {{0}};
    const char *path = in_folder("both.safetensors");
    fet__model *plain = scattered(VIT), *average = tiny(VIT), *again;
    foreign f = {.count = 0};

    (void)state;
    write_foreign(&f, average, none, "model_ema/", 1);
    write_foreign(&f, plain, none, "model/", 1);
    add_tensor(&f, "optimizer/state/0/exp_avg", FET_F32, FET_SHAPE(64, 64));
    save(&f, path);
    listen();
    assert_ok(open_as(&again, path, NULL, NULL));
    assert_int_equal(notes_count("it holds averaged weights too, in model_ema: --weights model_ema takes them"), 1);
    assert_null(strstr(notes, "exp_avg"));
    same_tensors(plain, again);
    fet__model_close(again);
    assert_ok(open_as(&again, path, NULL, "model_ema"));
    same_tensors(average, again);
    fet__model_close(again);
    assert_refused(open_as(&again, path, NULL, "teacher"), FET_E_ARG, "it holds no weights 'teacher'");
    release(&f);
    write_foreign(&f, plain, none, "state_dict/net.", 1); /* a teacher and its student beside each other */
    write_foreign(&f, average, none, "state_dict/mean_net.", 1);
    save(&f, path);
    assert_ok(open_as(&again, path, NULL, NULL));
    assert_int_equal(notes_count("2 networks of this kind; that under 'net.' is taken"), 1);
    same_tensors(plain, again);
    fet__model_close(again);
    assert_ok(open_as(&again, path, NULL, "mean_net"));
    same_tensors(average, again);
    fet__model_close(again);
    fet_set_log(NULL, NULL);
    release(&f);
    fet__model_close(plain);
    fet__model_close(average);
}

/* Buffers go without a word; what else is left over is named, and integers are never weights. */
static void leftovers(void **state)
{
    const char *path = in_folder("left.safetensors");
    fet__model *m = scattered(SWIN), *again;
    foreign f = {.count = 0};

    (void)state;
    write_foreign(&f, m, microsoft_rows, "backbone.", 1);
    add_tensor(&f, "backbone.layers.0.blocks.0.attn.relative_position_index", FET_I64, FET_SHAPE(4, 4));
    add_tensor(&f, "backbone.layers.0.blocks.1.attn_mask", FET_F32, FET_SHAPE(4, 4, 4));
    add_tensor(&f, "neck.lateral_convs.0.conv.weight", FET_F32, FET_SHAPE(2, 2));
    add_tensor(&f, "backbone.steps", FET_I64, FET_SHAPE(1));
    save(&f, path);
    listen();
    assert_ok(open_as(&again, path, NULL, NULL));
    same_tensors(m, again);
    assert_non_null(strstr(notes, "2 of "));
    assert_non_null(strstr(notes, "neck.lateral_convs.0.conv.weight"));
    assert_non_null(strstr(notes, "backbone.steps"));
    assert_null(strstr(notes, "attn_mask"));
    assert_null(strstr(notes, "relative_position_index"));
    fet_set_log(NULL, NULL);
    fet__model_close(again);
    fet__model_close(m);
    release(&f);
}

static void drop_entry(foreign *f, const char *name)
{
    for (int i = 0; i < f->count; i++)
        if (strcmp(f->e[i].name, name) == 0) {
            free((char *)(uintptr_t)f->e[i].name);
            free((void *)(uintptr_t)f->e[i].data);
            f->e[i] = f->e[--f->count];
            return;
        }
    fail_msg("no %s", name);
}

static void refusals(void **state)
{
    const char *path = in_folder("refused.safetensors");
    fet__model *m = scattered(VIT), *again;
    foreign f = {.count = 0};

    (void)state;
    write_foreign(&f, m, huggingface_rows, "vit.", 1);
    drop_entry(&f, "vit.encoder.layer.1.attention.attention.key.weight");
    save(&f, path);
    assert_refused(open_as(&again, path, NULL, NULL), FET_E_FORMAT,
                   "of the 3 parts of blocks.1.attn.qkv.weight some are missing");
    add_tensor(&f, "vit.encoder.layer.1.attention.attention.key.weight", FET_F32, FET_SHAPE(32, 64));
    save(&f, path);
    assert_refused(open_as(&again, path, NULL, NULL), FET_E_FORMAT, "parts of one layer, but differ in shape");
    release(&f);
    write_foreign(&f, m, huggingface_rows, "vit.", 1);
    drop_entry(&f, "vit.encoder.layer.1.output.dense.weight");
    save(&f, path);
    assert_refused(open_as(&again, path, NULL, NULL), FET_E_FORMAT,
                   "tensor blocks.1.mlp.fc2.weight [64, 128] is missing");
    add_tensor(&f, "vit.encoder.layer.1.output.dense.weight", FET_F32, FET_SHAPE(64, 64));
    save(&f, path);
    assert_refused(open_as(&again, path, NULL, NULL), FET_E_FORMAT,
                   "blocks.1.mlp.fc2.weight has shape [64, 64] where the model needs [64, 128]");
    release(&f);
    add_tensor(&f, "something.weight", FET_F32, FET_SHAPE(3, 3));
    save(&f, path);
    assert_refused(open_as(&again, path, NULL, NULL), FET_E_FORMAT, "no architecture that fettle knows");
    release(&f);
    fet__model_close(m);
}

/* Half precision becomes float32; aligned float32 stays where the file is mapped. */
static void precision_and_mapping(void **state)
{
    static const row half[] = {{"blocks.{i}.mlp.fc1.*", "blocks.{i}.mlp.fc1.*", HALF}, {0}};
    const char *path = in_folder("half.safetensors");
    fet__model *m = scattered(VIT), *again;
    const fet__param *p, *q;
    foreign f = {.count = 0};
    uint16_t bits;
    float back;

    (void)state;
    write_foreign(&f, m, half, "", 1);
    save(&f, path);
    release(&f);
    assert_ok(open_as(&again, path, NULL, NULL));
    p = fet__params_find(again->store, "blocks.1.mlp.fc1.weight");
    q = fet__params_find(m->store, "blocks.1.mlp.fc1.weight");
    fet__convert(&bits, FET_F16, q->data, FET_F32, 1);
    fet__convert(&back, FET_F32, &bits, FET_F16, 1);
    assert_true(((float *)p->data)[0] == back && !p->borrowed);
    assert_true(fet__params_find(again->store, "blocks.1.mlp.fc2.weight")->borrowed);
    fet__model_close(again);
    fet__model_close(m);
}

/* Patterns: numbers that come again must be the same, * takes the rest and at least something. */
static void patterns(void **state)
{
    char out[64];

    (void)state;
    assert_true(fet__name_map("a.{i}.b.{k}.*", "x.{k}.y.{i}.*", "a.12.b.3.c.d", out, sizeof out));
    assert_string_equal(out, "x.3.y.12.c.d");
    assert_true(fet__name_map("a.{i}.{i}", "{i}", "a.7.7", out, sizeof out));
    assert_false(fet__name_map("a.{i}.{i}", "{i}", "a.7.8", out, sizeof out));
    assert_false(fet__name_map("a.*", "b.*", "a.", out, sizeof out));
    assert_false(fet__name_map("a.{i}", "b.{i}", "a.x", out, sizeof out));
    assert_false(fet__name_map("a.{i}", "b.{i}", "a.1234567", out, sizeof out));
    assert_false(fet__name_map("a.b", "c", "a.bc", out, sizeof out));
    assert_false(fet__name_map("*", "*", "a name that is longer than the room for it", out, 8)); /* never cut */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(patterns),
                                       cmocka_unit_test(timm_with_prefixes),
                                       cmocka_unit_test(torchvision),
                                       cmocka_unit_test(huggingface),
                                       cmocka_unit_test(huggingface_folder),
                                       cmocka_unit_test(flax),
                                       cmocka_unit_test(flax_stacked),
                                       cmocka_unit_test(openai_clip),
                                       cmocka_unit_test(huggingface_clip),
                                       cmocka_unit_test(distilled),
                                       cmocka_unit_test(swin),
                                       cmocka_unit_test(containers),
                                       cmocka_unit_test(leftovers),
                                       cmocka_unit_test(refusals),
                                       cmocka_unit_test(precision_and_mapping)};

    return cmocka_run_group_tests_name("model.import", tests, make_folder, remove_folder);
}
