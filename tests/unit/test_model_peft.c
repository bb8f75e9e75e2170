/* LoRA folders of Hugging Face's PEFT: written and read back to the same logits, on bases of two libraries; ranks and scales that
 * differ between modules; what cannot be followed is refused by name. */
#include "unit/import_fixture.h"

#include <jansson.h>

#include "model/peft.h"

#define VIT "vit:dim=64,depth=2,heads=1,patch=4,img=8,mlp=2,classes=3"
#define LOGITS 6
#define OUT "peft_out"

static void remove_out(const char *name)
{
    static const char *const files[] = {FET__PEFT_CONFIG, FET__PEFT_TENSORS};
    char path[300];

    for (size_t i = 0; i < FET_COUNT(files); i++) {
        snprintf(path, sizeof path, "%s/%s", in_folder(name), files[i]);
        remove(path);
    }
    remove(in_folder(name));
}

static fet__model *open_base(const char *path)
{
    fet__model_options o = {.crop_pct = -1};
    fet__model *m = NULL;

    assert_ok(fet__model_open(&m, path, &o));
    return m;
}

static json_t *read_config(const char *name)
{
    char path[300];
    json_t *j;

    snprintf(path, sizeof path, "%s/%s", in_folder(name), FET__PEFT_CONFIG);
    j = json_load_file(path, 0, NULL);
    assert_non_null(j);
    return j;
}

/* ---- there and back ---------------------------------------------------------------------------------------------- */

static void save_adapter_of(const char *base, const char *spec, const char *file, double *logits)
{
    fet__model *m = open_base(base);

    assert_ok(fet__model_attach(m, spec));
    scatter(m, true, 0.2);
    logits_of(m, false, logits);
    assert_ok(fet__model_save_adapter(m, file, NULL, 0));
    fet__model_close(m);
}

/* in_folder() lends its text for a while only. */
static void keep_path(char out[128], const char *name)
{
    snprintf(out, 128, "%s", in_folder(name));
}

static void there_and_back(const char *base, const char *spec, const char *names_of)
{
    char file[128];
    double before[LOGITS], after[LOGITS], merged[LOGITS], plain[LOGITS];
    fet__text list = {0};
    fet__tensors *t = NULL;
    fet__model *m;

    keep_path(file, "adapter.safetensors");
    save_adapter_of(base, spec, file, before);
    assert_ok(fet__tensors_open(&t, file));
    assert_ok(fet__peft_write(in_folder(OUT), t, names_of, false));
    assert_refused(fet__peft_write(in_folder(OUT), t, names_of, false), FET_E_ARG, "exists already");
    assert_ok(fet__peft_write(in_folder(OUT), t, names_of, true));
    fet__tensors_close(t);
    m = open_base(base);
    logits_of(m, false, plain);
    assert_ok(fet__model_attach_file(m, in_folder(OUT)));
    logits_of(m, false, after);
    if (largest_difference(before, after, LOGITS) > 2e-5)
        fail_msg("%s: logits differ by %g", spec, largest_difference(before, after, LOGITS));
    assert_true(largest_difference(before, plain, LOGITS) > 0.01);
    assert_ok(fet__model_merge(m, &list));
    logits_of(m, false, merged);
    assert_true(largest_difference(before, merged, LOGITS) < 2e-5);
    fet__text_fini(&list);
    fet__model_close(m);
    remove(file);
}

static const char *const specs[] = {"lora:at=attn.qkv+mlp.fc2,rank=2,alpha=3", "lora:at=attn.q+attn.v,rank=2,scale=0.5",
                                    "lora:at=attn.q+attn.v+attn.proj,rank=3,alpha=4,rslora=true,bias=true",
                                    "lora:at=blocks.1.mlp.fc1+blocks.0.attn.k,rank=1,bias=true"};

static void own_names(void **state)
{
    fet__model *m = tiny(VIT);
    char base[128];
    json_t *j;

    (void)state;
    keep_path(base, "base.safetensors");
    scatter(m, false, 0.2);
    assert_ok(fet__model_save(m, base, NULL, 0));
    fet__model_close(m);
    for (size_t i = 0; i < FET_COUNT(specs); i++) {
        there_and_back(base, specs[i], NULL);
        j = read_config(OUT);
        assert_string_equal(json_string_value(json_object_get(j, "peft_type")), "LORA");
        assert_string_equal(json_string_value(json_array_get(json_object_get(j, "modules_to_save"), 0)), "head");
        if (i == 1) { /* q and v in one branch on the fused layer */
            assert_int_equal(json_integer_value(json_object_get(j, "r")), 4);
            assert_int_equal(json_array_size(json_object_get(j, "target_modules")), 2);
        }
        if (i == 2) /* the fused layer has twice the rank of attn.proj */
            assert_int_equal(json_object_size(json_object_get(j, "rank_pattern")), 2);
        json_decref(j);
        remove_out(OUT);
    }
    remove(base);
}

/* Written with the names of the library that the base came from. */
static void foreign_names(void **state)
{
    fet__model *m = tiny(VIT);
    fet__tensors *t = NULL;
    foreign f = {.count = 0};
    char path[300], base[128];

    (void)state;
    keep_path(base, "hf.safetensors");
    scatter(m, false, 0.2);
    write_foreign(&f, m, huggingface_rows, "vit.", 1);
    save(&f, base);
    release(&f);
    fet__model_close(m);
    for (size_t i = 1; i < FET_COUNT(specs); i++) {
        there_and_back(base, specs[i], base);
        snprintf(path, sizeof path, "%s/%s", in_folder(OUT), FET__PEFT_TENSORS);
        assert_ok(fet__tensors_open(&t, path));
        assert_non_null(fet__tensors_find(t, "base_model.model.classifier.weight"));
        if (i == 1)
            assert_non_null(
                fet__tensors_find(t, "base_model.model.vit.encoder.layer.1.attention.attention.value.lora_B.weight"));
        fet__tensors_close(t);
        remove_out(OUT);
    }
    remove(base);
}

/* ---- folders of others -------------------------------------------------------------------------------------------- */

#define KEY(module, leaf) "base_model.model.blocks." module "." leaf

static void write_folder(const char *name, const char *config, foreign *f)
{
    char path[300];
    FILE *out;

    assert_ok(fet__make_folder(in_folder(name)));
    snprintf(path, sizeof path, "%s/%s", in_folder(name), FET__PEFT_CONFIG);
    out = fopen(path, "w");
    assert_non_null(out);
    assert_true(fputs(config, out) >= 0 && fclose(out) == 0);
    snprintf(path, sizeof path, "%s/%s", in_folder(name), FET__PEFT_TENSORS);
    save(f, path);
}

static void add_values(foreign *f, const char *name, fet__shape shape, float first)
{
    float *v;

    add_tensor(f, name, FET_F32, shape);
    v = (float *)(uintptr_t)f->e[f->count - 1].data;
    for (int64_t i = 0; i < fet__shape_count(&shape); i++)
        v[i] = first + 0.01f * (float)(i % 7);
}

/* Two modules with ranks and alphas of their own: each changes its weight by its own alpha / r * B A. */
static void ranks_and_alphas(void **state)
{
    static const char config[] =
        "{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 6, \"target_modules\": [\"fc1\", \"proj\"], "
        "\"rank_pattern\": "
        "{\"blocks.1.attn.proj\": 3}, \"alpha_pattern\": {\"attn.proj\": 1.5}, \"novelty\": 3}";
    fet__model *m = tiny(VIT), *before = tiny(VIT);
    const fet__param *w[2], *old[2];
    fet__text list = {0};
    foreign f = {.count = 0};

    (void)state;
    add_values(&f, KEY("0.mlp.fc1", "lora_A.weight"), FET_SHAPE(2, 64), 0.1f);
    add_values(&f, KEY("0.mlp.fc1", "lora_B.weight"), FET_SHAPE(128, 2), 0.2f);
    add_values(&f, KEY("1.attn.proj", "lora_A.weight"), FET_SHAPE(3, 64), 0.3f);
    add_values(&f, KEY("1.attn.proj", "lora_B.weight"), FET_SHAPE(64, 3), -0.1f);
    write_folder(OUT, config, &f);
    listen();
    assert_ok(fet__model_attach_file(m, in_folder(OUT)));
    assert_int_equal(notes_count("field novelty is not known"), 1);
    assert_int_equal(notes_count("LoRA on 2 layers, rank 3"), 1);
    fet_set_log(NULL, NULL);
    assert_ok(fet__model_merge(m, &list));
    w[0] = fet__params_find(m->store, "blocks.0.mlp.fc1.weight");
    old[0] = fet__params_find(before->store, "blocks.0.mlp.fc1.weight");
    w[1] = fet__params_find(m->store, "blocks.1.attn.proj.weight");
    old[1] = fet__params_find(before->store, "blocks.1.attn.proj.weight");
    for (int k = 0; k < 2; k++) {
        const float *a = f.e[2 * k].data, *b = f.e[2 * k + 1].data;
        int rank = 2 + k;
        for (int r = 0; r < w[k]->shape.dim[0]; r++)
            for (int c = 0; c < 64; c++) {
                double sum = 0;
                for (int i = 0; i < rank; i++)
                    sum += (double)b[r * rank + i] * (double)a[i * 64 + c];
                sum *= k ? 1.5 / 3 : 6.0 / 2;
                assert_true(fabs((double)((float *)w[k]->data)[r * 64 + c] -
                                 (double)((float *)old[k]->data)[r * 64 + c] - sum) < 1e-5);
            }
    }
    assert_true(memcmp(fet__params_find(m->store, "blocks.1.mlp.fc1.weight")->data,
                       fet__params_find(before->store, "blocks.1.mlp.fc1.weight")->data, 64) == 0);
    fet__text_fini(&list);
    release(&f);
    remove_out(OUT);
    fet__model_close(before);
    fet__model_close(m);
}

/* Trained biases of adapted layers, and a head of another size. */
static void biases_and_heads(void **state)
{
    static const char config[] = "{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 4, \"bias\": \"lora_only\", "
                                 "\"modules_to_save\": [\"head\"], \"lora_dropout\": 0.1}";
    fet__model *m = tiny(VIT), *before = tiny(VIT);
    const fet__param *b, *old;
    fet__text list = {0};
    foreign f = {.count = 0};

    (void)state;
    add_values(&f, KEY("0.mlp.fc1", "lora_A.weight"), FET_SHAPE(2, 64), 0.1f);
    add_values(&f, KEY("0.mlp.fc1", "lora_B.weight"), FET_SHAPE(128, 2), 0.2f);
    add_values(&f, KEY("0.mlp.fc1", "base_layer.bias"), FET_SHAPE(128), 0.4f);
    add_values(&f, "base_model.model.head.weight", FET_SHAPE(7, 64), 0.4f);
    add_values(&f, "base_model.model.head.bias", FET_SHAPE(7), 0.4f);
    write_folder(OUT, config, &f);
    assert_ok(fet__model_attach_file(m, in_folder(OUT)));
    assert_int_equal(m->arch.classes, 7);
    assert_true(((float *)fet__params_find(m->store, "head.weight")->data)[8] == ((const float *)f.e[3].data)[8]);
    assert_ok(fet__model_merge(m, &list));
    b = fet__params_find(m->store, "blocks.0.mlp.fc1.bias");
    old = fet__params_find(before->store, "blocks.0.mlp.fc1.bias");
    for (int i = 0; i < 128; i++)
        assert_true(fabsf(((float *)b->data)[i] - ((const float *)f.e[2].data)[i]) < 1e-6f);
    assert_true(((float *)old->data)[0] != ((float *)b->data)[0]);
    fet__text_fini(&list);
    release(&f);
    remove_out(OUT);
    fet__model_close(before);
    fet__model_close(m);
}

/* Only the layers that the file has are adapted, also where their names end alike elsewhere. */
static void some_layers(void **state)
{
    fet__model *m = tiny(VIT);
    foreign f = {.count = 0};

    (void)state;
    add_values(&f, KEY("1.mlp.fc2", "lora_A.weight"), FET_SHAPE(2, 128), 0.1f);
    add_values(&f, KEY("1.mlp.fc2", "lora_B.weight"), FET_SHAPE(64, 2), 0.2f);
    write_folder(OUT, "{\"peft_type\": \"LORA\", \"r\": 2}", &f);
    assert_ok(fet__model_attach_file(m, in_folder(OUT)));
    assert_non_null(fet__params_find(m->store, "blocks.1.mlp.fc2.lora.up.weight"));
    assert_null(fet__params_find(m->store, "blocks.0.mlp.fc2.lora.up.weight"));
    assert_non_null(strstr(m->adapter->spec, "scale=4")); /* PEFT's default alpha is 8 */
    release(&f);
    remove_out(OUT);
    fet__model_close(m);
}

static void refusals(void **state)
{
    static const struct {
        const char *config, *message;
    } configs[] = {
        {"{\"peft_type\": \"IA3\"}", "peft_type is IA3"},
        {"{\"r\": 2}", "peft_type is absent"},
        {"{\"peft_type\": \"LORA\", \"use_dora\": true}", "use_dora is set"},
        {"{\"peft_type\": \"LORA\", \"layer_replication\": [[0, 1]]}", "layer_replication is set"},
        {"{\"peft_type\": \"LORA\", \"bias\": \"all\"}", "bias 'all' is not supported"},
        {"{\"peft_type\": \"LORA\", \"alpha_pattern\": {\"fc.*\": 3}}", "alpha_pattern 'fc.*' is no plain module"},
        {"{\"peft_type\": \"LORA\", \"r\": \"two\"}", "r is no number"},
        {"{\"peft_type\": \"LORA\", \"lora_alpha\": 0}", "lora_alpha 0 switches"},
        {"{\"peft_type\": ", "adapter_config.json"}};
    fet__model *m = tiny(VIT);
    foreign f = {.count = 0};

    (void)state;
    add_values(&f, KEY("1.mlp.fc2", "lora_A.weight"), FET_SHAPE(2, 128), 0.1f);
    add_values(&f, KEY("1.mlp.fc2", "lora_B.weight"), FET_SHAPE(64, 2), 0.2f);
    for (size_t i = 0; i < FET_COUNT(configs); i++) {
        write_folder(OUT, configs[i].config, &f);
        assert_refused(fet__model_attach_file(m, in_folder(OUT)), FET_E_FORMAT, configs[i].message);
        assert_null(m->adapter);
    }
#define TRY(key, shape, message)                                                                                       \
    do {                                                                                                               \
        add_values(&f, key, shape, 0.1f);                                                                              \
        write_folder(OUT, "{\"peft_type\": \"LORA\", \"r\": 2}", &f);                                                  \
        assert_refused(fet__model_attach_file(m, in_folder(OUT)), FET_E_FORMAT, message);                              \
        f.count--;                                                                                                     \
        free((char *)(uintptr_t)f.e[f.count].name);                                                                    \
        free((void *)(uintptr_t)f.e[f.count].data);                                                                    \
    } while (0)
    TRY(KEY("1.mlp.fc1", "lora_A.weight"), FET_SHAPE(2, 64), "module blocks.1.mlp.fc1 lacks lora_B");
    TRY(KEY("7.mlp.fc1", "lora_A.weight"), FET_SHAPE(2, 64), "no linear layer for module blocks.7.mlp.fc1");
    TRY("base_model.model.norm.weight", FET_SHAPE(64), "norm.weight was trained in full");
    TRY(KEY("1.mlp.fc2", "lora_magnitude_vector"), FET_SHAPE(64), "a form of LoRA that fettle does not follow");
    TRY("base_model.model.head.weight", FET_SHAPE(3, 9), "its head has shape [3, 9]");
    release(&f);
    add_values(&f, KEY("1.mlp.fc2", "lora_A.weight"), FET_SHAPE(2, 100), 0.1f);
    add_values(&f, KEY("1.mlp.fc2", "lora_B.weight"), FET_SHAPE(64, 2), 0.2f);
    write_folder(OUT, "{\"peft_type\": \"LORA\", \"r\": 2}", &f);
    assert_refused(fet__model_attach_file(m, in_folder(OUT)), FET_E_FORMAT, "has lora_A [2, 100] and lora_B [64, 2]");
    release(&f);
    remove_out(OUT);
    fet__model_close(m);
}

/* What has no form there is said. */
static void only_lora_is_written(void **state)
{
    char base[128], file[128];
    fet__model *m = tiny(VIT);
    fet__tensors *t = NULL;

    (void)state;
    keep_path(base, "b.safetensors");
    keep_path(file, "a.safetensors");
    assert_ok(fet__model_save(m, base, NULL, 0));
    assert_ok(fet__model_attach(m, "hydra:rank=2"));
    assert_ok(fet__model_save_adapter(m, file, NULL, 0));
    fet__model_close(m);
    assert_ok(fet__tensors_open(&t, file));
    assert_refused(fet__peft_write(in_folder(OUT), t, NULL, false), FET_E_ARG, "PEFT has no form for adapter 'hydra'");
    fet__tensors_close(t);
    assert_ok(fet__tensors_open(&t, base));
    assert_refused(fet__peft_write(in_folder(OUT), t, NULL, false), FET_E_FORMAT, "fettle.adapter is absent");
    fet__tensors_close(t);
    remove(base);
    remove(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(own_names),           cmocka_unit_test(foreign_names),
                                       cmocka_unit_test(ranks_and_alphas),    cmocka_unit_test(biases_and_heads),
                                       cmocka_unit_test(some_layers),         cmocka_unit_test(refusals),
                                       cmocka_unit_test(only_lora_is_written)};

    return cmocka_run_group_tests_name("model.peft", tests, make_folder, remove_folder);
}
