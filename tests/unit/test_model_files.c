/* Models and adapters in files: what is saved opens to the same logits; missing, unused and misshapen
 * tensors, another base, other classes are said by name. */
#include "unit/model_testing.h"

#define LOGITS 10

static fet__model *open_file(const char *path, const char *arch)
{
    fet__model_options o = {.arch = arch, .crop_pct = -1, .seed = 1};
    fet__model *m = NULL;

    assert_ok(fet__model_open(&m, path, &o));
    return m;
}

static fet_status try_open(const char *path, const char *arch)
{
    fet__model_options o = {.arch = arch, .crop_pct = -1};
    fet__model *m = NULL;
    fet_status st = fet__model_open(&m, path, &o);

    fet__model_close(m);
    return st;
}

static const char *const pets[] = {"cat", "dog", "Z\xc3\xbcrich \"x\"", "a,b", "mouse"};

/* ---- whole models ---------------------------------------------------------------------------------------- */

static void save_and_open(void **state)
{
    const char *path = in_folder("whole.safetensors");
    fet__model *m = tiny(TINY ",eps=1e-5"), *again;
    double before[LOGITS], after[LOGITS];
    char a[65], b[65];
    bool fresh;

    (void)state;
    scatter(m, false, 0.3);
    assert_ok(fet__model_set_classes(m, 5, pets, &fresh));
    assert_false(fresh);
    m->input.mean[1] = 0.25f;
    m->input.filter = FET__LANCZOS;
    m->input.crop_pct = 0.875;
    logits_of(m, false, before);
    assert_ok(fet__model_save(m, path, NULL, 0));
    again = open_file(path, NULL);
    logits_of(again, false, after);
    assert_true(largest_difference(before, after, LOGITS) == 0);
    assert_int_equal(again->class_count, 5);
    for (int i = 0; i < 5; i++)
        assert_string_equal(again->classes[i], pets[i]);
    assert_true(again->input.mean[1] == 0.25f && again->input.filter == FET__LANCZOS && again->input.crop_pct == 0.875);
    assert_ok(fet__model_fingerprint(m, a));
    assert_ok(fet__model_fingerprint(again, b));
    assert_string_equal(a, b);
    assert_int_equal(fet__model_parameters(m, false), fet__model_parameters(again, false));
    fet__model_close(again);
    fet__model_close(m);
}

/* The fingerprint sees every base tensor and not the head. */
static void fingerprints(void **state)
{
    fet__model *m = tiny(TINY);
    char a[65], b[65];
    fet__param *p;

    (void)state;
    assert_ok(fet__model_fingerprint(m, a));
    ((float *)fet__params_find(m->store, "head.weight")->data)[0] += 1;
    m->base_fingerprint[0] = '\0';
    assert_ok(fet__model_fingerprint(m, b));
    assert_string_equal(a, b);
    p = fet__params_find(m->store, "blocks.1.mlp.fc2.bias");
    ((float *)p->data)[11] = nextafterf(((float *)p->data)[11], 9);
    m->base_fingerprint[0] = '\0';
    assert_ok(fet__model_fingerprint(m, b));
    assert_string_not_equal(a, b);
    fet__model_close(m);
}

/* The tensors of a model without those that `skip` ends, plus one that no layer has, under metadata of our
 * own choice. */
static void write_without(const char *path, const char *skip, const char *extra, bool with_arch)
{
    static const float none[6];
    static const fet__meta_pair meta = {"fettle.arch", TINY};
    fet__model *m = tiny(TINY);
    fet__entry entries[80];
    int n = 0;

    for (int i = 0; i < fet__params_count(m->store); i++) {
        const fet__param *p = fet__params_at(m->store, i);
        if (!skip || !strstr(p->name, skip))
            entries[n++] = (fet__entry){p->name, p->dtype, p->shape, p->data, p->bytes};
    }
    if (extra)
        entries[n++] = (fet__entry){extra, FET_F32, FET_SHAPE(2, 3), none, sizeof none};
    assert_ok(fet__safetensors_write(path, entries, n, &meta, with_arch));
    fet__model_close(m);
}

static void missing_tensors(void **state)
{
    const char *path = in_folder("missing.safetensors");

    (void)state;
    write_without(path, "blocks.1.mlp.fc1.bias", NULL, true);
    assert_refused(try_open(path, NULL), FET_E_FORMAT, "missing.safetensors");
    assert_non_null(strstr(fet_error_message(), "tensor blocks.1.mlp.fc1.bias [24] is missing"));
    write_without(path, "pos_embed", NULL, true);
    assert_refused(try_open(path, NULL), FET_E_FORMAT, "tensor pos_embed [1, 5, 12] is missing");
}

static void unused_tensors(void **state)
{
    const char *path = in_folder("unused.safetensors");
    fet__model *m;

    (void)state;
    write_without(path, NULL, "pre_logits.fc.weight", true);
    listen();
    m = open_file(path, NULL);
    assert_non_null(strstr(notes, "1 of 33 tensors are not used by the model: pre_logits.fc.weight"));
    assert_null(fet__params_find(m->store, "pre_logits.fc.weight"));
    fet_set_log(NULL, NULL);
    fet__model_close(m);
}

static void misshapen_tensors(void **state)
{
    const char *path = in_folder("shape.safetensors");

    (void)state;
    write_without(path, "blocks.0.norm1.weight", "blocks.0.norm1.weight", true);
    assert_refused(try_open(path, NULL), FET_E_FORMAT,
                   "blocks.0.norm1.weight has shape [2, 3] where the model needs [12]");
}

/* ---- heads ----------------------------------------------------------------------------------------------- */

/* A named architecture brings the class count of its published form; the checkpoint's own counts, unless a
 * number is given. */
static void heads_of_named_architectures(void **state)
{
    static const char other[] = "vit:dim=12,depth=2,heads=3,patch=4,img=8,mlp=2";
    const char *path = in_folder("head.safetensors");
    fet__model *m;

    (void)state;
    write_without(path, NULL, NULL, false);
    m = open_file(path, other);
    assert_int_equal(m->arch.classes, 5);
    assert_true(fet__params_find(m->store, "head.weight")->loaded);
    fet__model_close(m);
    listen();
    m = open_file(path, "vit:dim=12,depth=2,heads=3,patch=4,img=8,mlp=2,classes=7");
    assert_int_equal(m->arch.classes, 7);
    assert_int_equal(fet__params_find(m->store, "head.weight")->shape.dim[0], 7);
    assert_int_equal(notes_count("its head has 5 outputs, 7 are asked for: the head begins anew"), 1);
    fet__model_close(m);
    write_without(path, "head.", NULL, false);
    m = open_file(path, other);
    assert_int_equal(m->arch.classes, 0);
    assert_int_equal(notes_count("there is no head.weight"), 1);
    fet_set_log(NULL, NULL);
    fet__model_close(m);
}

static void replacing_classes(void **state)
{
    static const char *const birds[] = {"owl", "rook", "wren"}, *const turned[] = {"rook", "owl", "wren"};
    fet__model *m = tiny(TINY);
    const fet__param *p;
    bool fresh;
    float first;

    (void)state;
    assert_ok(fet__model_set_classes(m, 3, birds, &fresh));
    assert_true(fresh);
    p = fet__params_find(m->store, "head.weight");
    assert_int_equal(p->shape.dim[0], 3);
    assert_int_equal(fet__params_find(m->store, "head.bias")->shape.dim[0], 3);
    first = ((float *)p->data)[0];
    assert_true(first != 0 && fabsf(first) <= 1 / sqrtf(12)); /* U(-1/sqrt(in), +) */
    assert_ok(fet__model_set_classes(m, 3, birds, &fresh));
    assert_false(fresh);
    assert_ok(fet__model_set_classes(m, 3, turned, &fresh)); /* the same names in another order are other classes */
    assert_true(fresh);
    assert_string_equal(m->classes[0], "rook");
    assert_refused(fet__model_set_classes(m, 0, NULL, &fresh), FET_E_ARG, "at least one class");
    fet__model_close(m);
}

/* A fresh head after the adapter was attached still trains, and another image size keeps it. */
static void heads_after_attaching(void **state)
{
    fet__model *m = tiny(TINY);
    bool fresh;

    (void)state;
    assert_ok(fet__model_attach(m, "hydra"));
    assert_ok(fet__model_set_classes(m, 2, NULL, &fresh));
    assert_true(fet__params_find(m->store, "head.weight")->trainable);
    assert_true(fet__params_find(m->store, "head.bias")->trainable);
    assert_ok(m->arch.class_->resize(&m->arch, m->store, 16, 16));
    assert_int_equal(m->arch.classes, 2);
    fet__model_close(m);
}

/* ---- adapters in files ----------------------------------------------------------------------------------- */

static void adapter_round_trip(void **state)
{
    static const char *const specs[] = {"hydra:at=attn.proj+mlp.fc2,rank=2,scale=0.3",
                                        "lora:at=attn.q+attn.v,rank=2,alpha=4",
                                        "seqlora:rank=1",
                                        "bitfit",
                                        "linear",
                                        "full"};
    const char *base = in_folder("base.safetensors"), *file = in_folder("adapter.safetensors");
    double before[4], after[4];
    fet__model *m = tiny(TINY);
    bool fresh;

    (void)state;
    scatter(m, false, 0.3);
    assert_ok(fet__model_save(m, base, NULL, 0));
    fet__model_close(m);
    for (size_t i = 0; i < FET_COUNT(specs); i++) {
        m = open_file(base, NULL);
        assert_ok(fet__model_set_classes(m, 2, pets, &fresh));
        assert_ok(fet__model_attach(m, specs[i]));
        for (int k = 0; k < fet__params_count(m->store); k++) {
            fet__param *p = fet__params_at(m->store, k);
            assert_ok(p->trainable ? fet__param_own(p) : FET_OK);
            if (p->trainable)
                fet__init_fill(p->data, p->dtype, fet__shape_count(&p->shape), (fet__init){FET__INIT_NORMAL, 0.2}, 8,
                               p->name);
        }
        logits_of(m, false, before);
        assert_ok(fet__model_save_adapter(m, file, NULL, 0));
        fet__model_close(m);
        m = open_file(base, NULL);
        assert_ok(fet__model_attach_file(m, folder)); /* a RUN folder holds it under that name */
        assert_int_equal(m->arch.classes, 2);
        assert_string_equal(m->classes[1], "dog");
        logits_of(m, false, after);
        if (largest_difference(before, after, 4) != 0)
            fail_msg("%s: logits differ by %g", specs[i], largest_difference(before, after, 4));
        fet__model_close(m);
    }
}

static void another_base_is_named(void **state)
{
    const char *base = in_folder("base2.safetensors"), *other = in_folder("other.safetensors"),
               *file = in_folder("adapter2.safetensors");
    fet__model *m = tiny(TINY);

    (void)state;
    assert_ok(fet__model_save(m, base, NULL, 0));
    scatter(m, false, 0.1);
    assert_ok(fet__model_save(m, other, NULL, 0));
    fet__model_close(m);
    m = open_file(base, NULL);
    assert_ok(fet__model_attach(m, "hydra"));
    assert_ok(fet__model_save_adapter(m, file, NULL, 0));
    fet__model_close(m);
    m = open_file(other, NULL);
    assert_refused(fet__model_attach_file(m, file), FET_E_FORMAT, "base2.safetensors");
    assert_non_null(strstr(fet_error_message(), "other.safetensors"));
    assert_null(m->adapter);
    fet__model_close(m);
}

/* A merged model is another model: its adapter does not fit it any more. */
static void merged_models_refuse_their_adapter(void **state)
{
    const char *base = in_folder("base3.safetensors"), *merged = in_folder("merged3.safetensors"),
               *file = in_folder("adapter3.safetensors");
    double a[LOGITS], b[LOGITS];
    fet__model *m = tiny(TINY);
    fet__text list = {0};

    (void)state;
    assert_ok(fet__model_save(m, base, NULL, 0));
    fet__model_close(m);
    m = open_file(base, NULL);
    assert_ok(fet__model_attach(m, "hydra"));
    scatter(m, true, 0.3);
    assert_ok(fet__model_save_adapter(m, file, NULL, 0));
    assert_refused(fet__model_save(m, merged, NULL, 0), FET_E_ARG, "adapter 'hydra' is attached");
    logits_of(m, true, a);
    assert_ok(fet__model_merge(m, &list));
    assert_ok(fet__model_save(m, merged, NULL, 0));
    fet__model_close(m);
    m = open_file(merged, NULL);
    logits_of(m, true, b);
    assert_true(largest_difference(a, b, LOGITS) < 1e-5);
    assert_refused(fet__model_attach_file(m, file), FET_E_FORMAT, "was trained on another model");
    fet__model_close(m);
    fet__text_fini(&list);
}

/* Copies an adapter file without the tensor `skip`, with `extra` [2, 3] instead. */
static void alter(const char *from, const char *to, const char *skip, const char *extra)
{
    static const float none[6];
    fet__tensors *t = NULL;
    fet__meta_pair meta[16];
    fet__entry entries[80];
    int n = 0, k = 0;

    assert_ok(fet__tensors_open(&t, from));
    for (int i = 0; i < fet__tensors_count(t); i++)
        if (!skip || strcmp(fet__tensors_at(t, i)->name, skip) != 0)
            entries[n++] = *fet__tensors_at(t, i);
    if (extra)
        entries[n++] = (fet__entry){extra, FET_F32, FET_SHAPE(2, 3), none, sizeof none};
    for (int i = 0; i < fet__tensors_meta_count(t) && k < 16; i++) {
        const char *key = fet__tensors_meta_key(t, i);
        if (strcmp(key, "fettle.checksum") != 0) /* an altered file that vouches for nothing */
            meta[k++] = (fet__meta_pair){key, fet__tensors_meta(t, key)};
    }
    assert_ok(fet__safetensors_write(to, entries, n, meta, k));
    fet__tensors_close(t);
}

static void altered_adapters(void **state)
{
    static const char up[] = "blocks.1.mlp.fc2.hydra.seq.up.weight";
    const char *base = in_folder("base4.safetensors"), *file = in_folder("adapter4.safetensors"),
               *bad = in_folder("bad4.safetensors");
    fet__model *m = tiny(TINY);
    int params;

    (void)state;
    assert_ok(fet__model_save(m, base, NULL, 0));
    fet__model_close(m);
    m = open_file(base, NULL);
    assert_ok(fet__model_attach(m, "hydra"));
    assert_ok(fet__model_save_adapter(m, file, NULL, 0));
    fet__model_close(m);
    m = open_file(base, NULL);
    params = fet__params_count(m->store);
    alter(file, bad, up, NULL);
    assert_refused(fet__model_attach_file(m, bad), FET_E_FORMAT,
                   "tensor blocks.1.mlp.fc2.hydra.seq.up.weight [12, 2] is missing");
    alter(file, bad, up, up);
    assert_refused(fet__model_attach_file(m, bad), FET_E_FORMAT, "has shape [2, 3] where the model needs [12, 2]");
    alter(file, bad, NULL, "blocks.9.mlp.fc2.hydra.par.up.weight");
    assert_refused(fet__model_attach_file(m, bad), FET_E_FORMAT,
                   "blocks.9.mlp.fc2.hydra.par.up.weight belongs to no layer");
    alter(file, bad, NULL, "blocks.0.norm1.weight");
    assert_refused(fet__model_attach_file(m, bad), FET_E_FORMAT,
                   "blocks.0.norm1.weight is not one that adapter 'hydra' trains");
    assert_refused(fet__model_attach_file(m, base), FET_E_FORMAT, "no adapter of fettle");
    assert_refused(fet__model_attach_file(m, in_folder("absent.safetensors")), FET_E_IO, "absent.safetensors");
    /* None of it left anything behind. */
    assert_null(m->adapter);
    assert_int_equal(fet__params_count(m->store), params);
    assert_ok(fet__model_attach_file(m, file));
    assert_refused(fet__model_attach_file(m, file), FET_E_ARG, "already has adapter 'hydra'");
    fet__model_close(m);
}

static void broken_metadata(void **state)
{
    static const char *const rows[][3] = {
        {"fettle.classes", "[\"a\",\"a\"]", "entry 1 is there twice"},
        {"fettle.classes", "{\"a\": 1}", "is not a list of names"},
        {"fettle.classes", "[\"a\"]", "names 1 classes but its head has 5 outputs"},
        {"fettle.classes", "[1]", "entry 0 is not a text"},
        {"fettle.classes", "[\"a\"", "malformed JSON"},
        {"fettle.preprocess", "{}", "lacks a value or has one out of range"},
        {"fettle.preprocess",
         "{\"height\":8,\"width\":8,\"mean\":[0,0,0],\"std\":[0,1,1],\"interpolation\":\"bicubic\",\"crop_pct\":1}",
         "out of range"},
        {"fettle.arch", "vti", "unknown architecture 'vti'"},
    };
    const char *path = in_folder("meta.safetensors");
    fet__model *m = tiny(TINY);

    (void)state;
    for (size_t i = 0; i < FET_COUNT(rows); i++) {
        fet__entry entries[80];
        fet__meta_pair meta[2] = {{rows[i][0], rows[i][1]}, {"fettle.arch", TINY}};
        int n = fet__params_count(m->store);
        for (int k = 0; k < n; k++) {
            const fet__param *p = fet__params_at(m->store, k);
            entries[k] = (fet__entry){p->name, p->dtype, p->shape, p->data, p->bytes};
        }
        assert_ok(fet__safetensors_write(path, entries, n, meta, strcmp(rows[i][0], "fettle.arch") == 0 ? 1 : 2));
        assert_refused(try_open(path, NULL), strcmp(rows[i][0], "fettle.arch") == 0 ? FET_E_ARG : FET_E_FORMAT,
                       rows[i][2]);
        assert_non_null(strstr(fet_error_message(), "meta.safetensors"));
    }
    fet__model_close(m);
}

/* Allocations of opening, attaching, merging and saving may fail: a failure in words, and nothing is kept. */
static fet_status whole_way(const char *base, const char *adapter, const char *out)
{
    fet__model_options o = {.crop_pct = -1};
    fet__model *m = NULL;
    fet__text list = {0};
    fet_status st;

    FET_TRY(fet__model_open(&m, base, &o));
    FET_TRY(fet__model_attach_file(m, adapter));
    FET_TRY(fet__model_merge(m, &list));
    FET_TRY(list.failed ? FET_E_NOMEM : FET_OK);
    FET_TRY(fet__model_save(m, out, NULL, 0));
done:
    fet__text_fini(&list);
    fet__model_close(m);
    return st;
}

static void without_memory(void **state)
{
    const char *base = in_folder("base5.safetensors"), *file = in_folder("adapter5.safetensors"),
               *out = in_folder("out5.safetensors");
    fet__model *m = tiny(TINY);
    fet_status st = FET_E_NOMEM;
    uint64_t held, n;

    (void)state;
    assert_ok(fet__model_save(m, base, NULL, 0));
    fet__model_close(m);
    m = open_file(base, NULL);
    assert_ok(fet__model_attach(m, "lora:at=attn.q+mlp.fc2,rank=2"));
    assert_ok(fet__model_save_adapter(m, file, NULL, 0));
    fet__model_close(m);
    assert_ok(whole_way(base, file, out));
    held = fet__alloc_bytes();
    for (n = 1; n < 100000 && st != FET_OK; n += 1 + n / 16) {
        fet__alloc_fail_after(n);
        st = whole_way(base, file, out);
        fet__alloc_fail_after(0);
        if (st != FET_OK && st != FET_E_NOMEM)
            fail_msg("allocation %llu failed with %d: %s", (unsigned long long)n, st, fet_error_message());
        assert_int_equal(fet__alloc_bytes(), held);
    }
    assert_true(n > 100 && st == FET_OK);
}

static void none_needs_an_architecture(void **state)
{
    (void)state;
    assert_refused(try_open("none", NULL), FET_E_ARG, "needs an architecture");
    assert_refused(try_open(folder, NULL), FET_E_IO, "holds no model.safetensors");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(save_and_open),
        cmocka_unit_test(fingerprints),
        cmocka_unit_test(missing_tensors),
        cmocka_unit_test(unused_tensors),
        cmocka_unit_test(misshapen_tensors),
        cmocka_unit_test(heads_of_named_architectures),
        cmocka_unit_test(replacing_classes),
        cmocka_unit_test(heads_after_attaching),
        cmocka_unit_test(adapter_round_trip),
        cmocka_unit_test(another_base_is_named),
        cmocka_unit_test(merged_models_refuse_their_adapter),
        cmocka_unit_test(altered_adapters),
        cmocka_unit_test(broken_metadata),
        cmocka_unit_test(without_memory),
        cmocka_unit_test(none_needs_an_architecture),
    };
    return cmocka_run_group_tests_name("model.files", tests, make_folder, remove_folder);
}
