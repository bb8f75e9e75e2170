/* Which tensors weight decay spares, by rule (methods/mona.md section 5). The whole of a training under two of the rules is in the
 * parity run. */
#include "unit/model_testing.h"

#include "train/train.h"

static const struct {
    const char *name;
    int rank;
    bool depthwise;     /* its weight is a filter a channel */
    const char *spared; /* by these rules */
} rows[] = {
    {"blocks.0.mlp.fc1.weight", 2, false, ""},
    {"blocks.0.mlp.fc1.bias", 1, false, "1d norm+bias cls"},
    {"blocks.0.norm1.weight", 1, false, "1d norm+bias cls det"},
    {"blocks.0.norm1.bias", 1, false, "1d norm+bias cls det"},
    {"layers.0.downsample.norm.weight", 1, false, "1d norm+bias cls det"},
    {"layer1.0.bn2.weight", 1, false, "1d norm+bias cls"},
    {"layer1.0.bn2.bias", 1, false, "1d norm+bias cls"},
    {"transformer.ln_pre.bias", 1, false, "1d norm+bias cls"},
    {"layers.0.blocks.0.my_module_1.gamma", 1, false, "1d"},
    {"layers.0.blocks.0.my_module_1.gammax", 1, false, "1d"},
    {"layers.0.blocks.0.my_module_1.norm.weight", 1, false, "1d norm+bias cls det"},
    {"layers.0.blocks.0.my_module_1.adapter_conv.conv1.weight", 4, true, ""},
    {"layers.0.blocks.0.my_module_1.adapter_conv.conv1.bias", 1, true, "1d norm+bias"},
    {"layers.0.blocks.0.my_module_1.adapter_conv.projector.bias", 1, false, "1d norm+bias cls"},
    {"layers.0.blocks.0.attn.relative_position_bias_table", 2, false, "cls det seg"},
    {"absolute_pos_embed", 3, false, "cls det seg"},
    {"head.fc.bias", 1, false, "1d norm+bias cls"},
    {"normality", 2, false, "det"}, /* a name alone stands in no module */
};

static bool among(const char *words, const char *word)
{
    char padded[64], sought[32];

    snprintf(padded, sizeof padded, " %s ", words);
    snprintf(sought, sizeof sought, " %s ", word);
    return strstr(padded, sought) != NULL;
}

static void rules(void **state)
{
    static const char *const names[] = {"none", "1d", "norm+bias", "cls", "det", "seg"};
    fet__decay_rule rule = FET__DECAY_ALL;

    (void)state;
    assert_false(fet__decay_rule_parse("", &rule));
    assert_false(fet__decay_rule_parse("bias", &rule));
    for (size_t k = 0; k < FET_COUNT(names); k++) {
        assert_true(fet__decay_rule_parse(names[k], &rule));
        assert_int_equal(rule, k);
        for (size_t i = 0; i < FET_COUNT(rows); i++) {
            fet__params *store;
            fet__param *p, *w;
            char weight[96];
            fet__shape shape = {.rank = rows[i].rank, .dim = {4, 1, 3, 3}};
            assert_ok(fet__params_create(&store));
            assert_ok(fet__params_add(store, &p, rows[i].name, FET_F32, shape, FET__PARAM));
            if (strstr(rows[i].name, ".bias")) {
                snprintf(weight, sizeof weight, "%.*s.weight", (int)strlen(rows[i].name) - 5, rows[i].name);
                assert_ok(fet__params_add(store, &w, weight, FET_F32,
                                          rows[i].depthwise ? FET_SHAPE(4, 1, 3, 3) : FET_SHAPE(4, 4, 1, 1),
                                          FET__PARAM));
            }
            if (fet__decays(rule, store, p) == among(rows[i].spared, names[k]))
                fail_msg("%s under %s", rows[i].name, names[k]);
            fet__params_destroy(store);
        }
    }
}

/* Warm-up as a factor on the decay: at its end the rate is the decay's own. */
static void warmup_multiplies(void **state)
{
    fet__schedule s = {.kind = FET__COSINE, .base = 2, .min = 0, .total = 10, .warmup = 4, .warmup_start = 1};

    (void)state;
    assert_true(fabs(fet__schedule_at(&s, 2) - 1.5) < 1e-12);
    s.warmup_multiplies = true;
    assert_true(fabs(fet__schedule_at(&s, 0) - 1) < 1e-12);
    assert_true(fabs(fet__schedule_at(&s, 2) - 0.75 * (1 + cos(acos(-1.0) * 0.2))) < 1e-12);
    assert_true(fabs(fet__schedule_at(&s, 4) - (1 + cos(acos(-1.0) * 0.4))) < 1e-12);
    s.prefix = true; /* the decay has not begun before the warm-up is over */
    assert_true(fabs(fet__schedule_at(&s, 2) - 1.5) < 1e-12);
    s.base = 0;
    s.warmup_start = 0;
    assert_true(fet__schedule_at(&s, 1) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rules), cmocka_unit_test(warmup_multiplies)};

    return cmocka_run_group_tests_name("train.decay", tests, NULL, NULL);
}
