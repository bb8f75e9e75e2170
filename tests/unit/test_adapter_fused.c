/* Modules that stay in a model: several of them, other adapters on top, files that name what they do not hold, channels that cannot be
 * divided by, memory that runs out. */
#include "unit/model_testing.h"

enum { LOGITS = 10 };
#define ARCH TINY ",mean_pool=true"

static void merge(fet__model *m)
{
    fet__text list = {0};

    assert_ok(fet__model_merge(m, &list));
    fet__text_fini(&list);
}

static fet__model *reopen(const char *name)
{
    fet__model_options o = {.crop_pct = -1};
    fet__model *m = NULL;

    assert_ok(fet__model_open(&m, in_folder(name), &o));
    return m;
}

static double size_of(const double *v)
{
    double most = 0;

    for (int i = 0; i < LOGITS; i++)
        most = fmax(most, fabs(v[i]));
    return most;
}

/* Attach, give it any values, merge: the double path must agree to what rounding the fused tensors once costs. */
static void put_on(fet__model *m, const char *spec)
{
    double before[LOGITS], after[LOGITS];

    assert_ok(fet__model_attach(m, spec));
    scatter(m, true, 0.3);
    logits_of(m, true, before);
    merge(m);
    logits_of(m, true, after);
    if (largest_difference(before, after, LOGITS) > 2e-6 * size_of(before))
        fail_msg("%s: off by %g of %g", spec, largest_difference(before, after, LOGITS), size_of(before));
}

static void one_on_another(void **state)
{
    static const char *const specs[] = {"mona:n=5", "adapter:n=3,scale=2", "lora:rank=2",    "mona:n=4,kernels=3",
                                        "hydra",    "adaptformer:n=4",     "adapter:at=mlp", "seqlora:rank=1"};
    fet__model *m = tiny(ARCH), *again;
    double ours[LOGITS], theirs[LOGITS];
    char first[65], second[65];

    (void)state;
    scatter(m, false, 0.3);
    for (size_t i = 0; i < FET_COUNT(specs); i++) {
        assert_ok(fet__model_fingerprint(m, first));
        put_on(m, specs[i]);
        assert_ok(fet__model_fingerprint(m, second));
        assert_string_not_equal(first, second); /* an adapter for the one is none for the other */
    }
    assert_int_equal(m->fused_count, 5);
    assert_ok(fet__model_save(m, in_folder("five.safetensors"), NULL, 0));
    again = reopen("five.safetensors");
    assert_int_equal(again->fused_count, 5);
    logits_of(m, false, ours);
    logits_of(again, false, theirs);
    assert_true(largest_difference(ours, theirs, LOGITS) == 0);
    assert_int_equal(fet__model_parameters(m, false), fet__model_parameters(again, false));
    put_on(again, "mona:n=3"); /* and it goes on */
    fet__model_close(m);
    fet__model_close(again);
}

/* What is fused is frozen unless all trains. */
static void what_trains(void **state)
{
    fet__model *m = tiny(ARCH);
    const char *name = "blocks.0.my_module_1.fused1.conv.weight";

    (void)state;
    put_on(m, "mona:n=5");
    assert_ok(fet__model_save(m, in_folder("m.safetensors"), NULL, 0));
    assert_ok(fet__model_attach(m, "mona:n=5"));
    assert_false(fet__params_find(m->store, name)->trainable);
    assert_true(fet__params_find(m->store, "blocks.0.my_module_1.gamma")->trainable);
    fet__model_close(m);
    m = reopen("m.safetensors");
    assert_ok(fet__model_attach(m, "full"));
    assert_true(fet__params_find(m->store, name)->trainable);
    fet__model_close(m);
}

/* A channel whose gammax is 0 cannot be divided by: the vector stays. */
static void undivided(void **state)
{
    double before[LOGITS], after[LOGITS];
    fet__model *m = tiny(ARCH);
    fet__param *p;

    (void)state;
    scatter(m, false, 0.3);
    assert_ok(fet__model_attach(m, "mona:n=5"));
    scatter(m, true, 0.3);
    for (int i = 0; i < fet__params_count(m->store); i++) {
        p = fet__params_at(m->store, i);
        for (int c = 0; p->adapter && strstr(p->name, ".gammax") && c < 12; c++)
            ((float *)p->data)[c] = strstr(p->name, "blocks.0.my_module_1") && c == 7 ? 0 : 1 - 0.15f * (float)c;
    }
    logits_of(m, true, before);
    merge(m);
    logits_of(m, true, after);
    assert_true(largest_difference(before, after, LOGITS) < 2e-6 * size_of(before));
    assert_non_null(fet__params_find(m->store, "blocks.0.my_module_1.fused1.gammax"));
    assert_null(fet__params_find(m->store, "blocks.1.my_module_1.fused1.gammax")); /* 1 to -0.65, none near 0 */
    fet__model_close(m);
}

/* ---- files ------------------------------------------------------------------------------------------------- */

static fet_status open_with(fet__model *m, const char *fused)
{
    fet__model_options o = {.crop_pct = -1};
    fet__meta_pair more = {"fettle.fused", fused};
    fet__model *again = NULL;
    fet_status st;

    assert_ok(fet__model_save(m, in_folder("bad.safetensors"), &more, 1));
    st = fet__model_open(&again, in_folder("bad.safetensors"), &o);
    if (st == FET_OK)
        fet__model_close(again);
    return st;
}

static void bad_files(void **state)
{
    static const struct {
        const char *fused, *text;
    } rows[] = {{"", "not a list of adapters"},
                {"{}", "not a list of adapters"},
                {"[1]", "not a list of adapters"},
                {"[\"mona\"", "not a list of adapters"},
                {"[\"mnoa\"]", "the nearest is 'mona'"},
                {"[\"mona:n=0\"]", "n=0 is not"},
                {"[\"lora\"]", "names 'lora', which has no fused form"},
                {"[\"full\"]", "names 'full', which has no fused form"},
                {"[\"mona\"]", "blocks.0.my_module_1.fused1.norm.weight"},
                {"[\"adapter:at=blocks.7.mlp\"]", "at=blocks.7.mlp matches no place"}};
    fet__model *m = tiny(ARCH);

    (void)state;
    for (size_t i = 0; i < FET_COUNT(rows); i++) {
        fet_status st = open_with(m, rows[i].fused);
        if (st == FET_OK || !strstr(fet_error_message(), rows[i].text))
            fail_msg("fettle.fused %s: %d, %s", rows[i].fused, st, st == FET_OK ? "" : fet_error_message());
    }
    assert_int_equal(open_with(m, "[\"mona\",\"mona\",\"mona\",\"mona\",\"mona\",\"mona\",\"mona\",\"mona\",\"mona\","
                                  "\"mona\",\"mona\",\"mona\",\"mona\",\"mona\",\"mona\",\"mona\",\"mona\"]"),
                     FET_E_ARG);
    assert_non_null(strstr(fet_error_message(), "already carries 16"));
    assert_ok(open_with(m, "[]"));
    fet__model_close(m);
}

/* A wrong size in the file is told by name. */
static void other_width(void **state)
{
    fet__model *m = tiny(ARCH);
    fet__meta_pair more = {"fettle.fused", "[\"adapter:n=4\"]"};
    fet__model_options o = {.crop_pct = -1};
    fet__model *again = NULL;

    (void)state;
    put_on(m, "adapter:n=5");
    m->fused_count = 0; /* so that ours is not written besides */
    assert_ok(fet__model_save(m, in_folder("width.safetensors"), &more, 1));
    m->fused_count = 1;
    assert_refused(fet__model_open(&again, in_folder("width.safetensors"), &o), FET_E_FORMAT, "[5, 12]");
    fet__model_close(m);
}

static void too_many(void **state)
{
    fet__model *m = tiny(ARCH);
    fet__text list = {0};

    (void)state;
    for (int i = 0; i < FET__FUSED_LIMIT; i++)
        put_on(m, "adaptformer:n=1,at=blocks.0.mlp");
    assert_ok(fet__model_attach(m, "adaptformer:n=1"));
    assert_refused(fet__model_merge(m, &list), FET_E_ARG, "already carries 16 fused modules");
    fet__model_close(m);
}

static void without_memory(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        fet__model *m = tiny(ARCH);
        fet__text list = {0};
        fet_status st;
        assert_ok(fet__model_attach(m, "mona:n=3"));
        fet__alloc_fail_after(n);
        st = fet__model_merge(m, &list);
        fet__alloc_fail_after(0);
        fet__text_fini(&list);
        fet__model_close(m);
        if (st == FET_OK)
            break;
        assert_int_equal(st, FET_E_NOMEM);
        assert_true(n < 5000);
        n += n / 16; /* all of the first, then fewer */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_on_another), cmocka_unit_test(what_trains), cmocka_unit_test(undivided),
        cmocka_unit_test(bad_files),      cmocka_unit_test(other_width), cmocka_unit_test(too_many),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests_name("adapter.fused", tests, make_folder, remove_folder);
}
