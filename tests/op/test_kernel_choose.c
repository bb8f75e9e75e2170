/* Which row is chosen, what the counter says, and what happens when nobody accepts; the measured peak. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "op/kernel_case.h"

#define D(...) DIMS(__VA_ARGS__)
#ifndef FETTLE_DNNL
#define FETTLE_DNNL 0
#endif

static const char *chosen(const kernel_case *c, fet_dtype t, bool reference)
{
    static char name[64];
    fet__prepared k;
    fet__problem p = kernel_case_problem(c, t);
    assert_int_equal(fet__kernel_prepare(&k, &p, reference), FET_OK);
    snprintf(name, sizeof name, "%s", k.kernel->name);
    fet__kernel_release(&k);
    assert_null(k.kernel);
    return name;
}

static void large_contractions_go_to_onednn(void **state)
{
    (void)state;
    const kernel_case matmul = {
        .op = FET__OP_MATMUL, .attr.matmul = {0, 1}, .inputs = 2, .in = {D(300, 256), D(128, 256)}, .out = D(300, 128)};
    const kernel_case linear = {
        .op = FET__OP_LINEAR, .inputs = 3, .in = {D(300, 256), D(128, 256), D(128)}, .out = D(300, 128)};
    const kernel_case conv = {.op = FET__OP_CONV2D,
                              .attr.conv = {{1, 1}, {1, 1}, {1, 1}, 1},
                              .inputs = 2,
                              .in = {D(1, 8, 8, 16), D(16, 16, 3, 3)},
                              .out = D(1, 8, 8, 16)};
    if (!FETTLE_DNNL) {
        assert_string_equal(fet__kernel_library(), "none");
        return;
    }
    assert_string_equal(chosen(&matmul, FET_F32, false), "dnnl.matmul");
    assert_string_equal(chosen(&linear, FET_F32, false), "dnnl.linear");
    assert_string_equal(chosen(&conv, FET_F32, false), "dnnl.conv2d");
    kernel_case gradient = matmul;
    gradient.attr.matmul.tb = 0;
    gradient.in[1] = (fet__shape)D(256, 128);
    assert_string_equal(chosen(&gradient, FET_F32, false), "dnnl.sgemm");
    assert_int_equal(strncmp(fet__kernel_library(), "oneDNN ", 7), 0);
}

static void thin_gradients_go_to_own_rows(void **state)
{
    (void)state;
    const kernel_case thin = {
        .op = FET__OP_MATMUL, .attr.matmul = {1, 0}, .inputs = 2, .in = {D(3000, 2), D(3000, 768)}, .out = D(2, 768)};
    fet__cpu level = fet__cpu_level();
    if (level == FET__CPU_BASE)
        assert_null(strstr(chosen(&thin, FET_F32, false), "skinny"));
    else
        assert_string_equal(chosen(&thin, FET_F32, false), level == FET__CPU_AVX512 ? "avx512.skinny" : "avx2.skinny");
}

static void reference_on_demand_and_for_double(void **state)
{
    (void)state;
    const kernel_case matmul = {
        .op = FET__OP_MATMUL, .inputs = 2, .in = {D(300, 256), D(256, 128)}, .out = D(300, 128)};
    assert_string_equal(chosen(&matmul, FET_F32, true), "ref");
    assert_string_equal(chosen(&matmul, FET_F64, false), "ref");
}

/* Every operator but the leaves has a reference in both floating types. */
static void reference_serves_every_operator(void **state)
{
    (void)state;
    for (int op = 0; op < FET__OP_COUNT; op++)
        for (int t = 0; t < 2; t++) {
            fet__problem p = {.op = (fet__op)op, .output.dtype = t ? FET_F64 : FET_F32};
            for (int i = 0; i < FET__MAX_INPUTS; i++)
                p.input[i].dtype = p.output.dtype;
            bool leaf = fet__op_rows[op].class_ == FET__CLASS_LEAF;
            if (fet__kernels_ref[0].accepts(&p) == leaf)
                fail_msg("reference of %s", fet__op_rows[op].name);
        }
}

static void uses_are_counted(void **state)
{
    (void)state;
    const kernel_case add = {.op = FET__OP_ADD, .inputs = 2, .in = {D(3), D(3)}, .out = D(3)};
    int64_t before = fet__kernel_uses("ref"), all = fet__kernel_uses("");
    chosen(&add, FET_F32, true);
    chosen(&add, FET_F64, true);
    assert_int_equal(fet__kernel_uses("ref"), before + 2);
    assert_int_equal(fet__kernel_uses(""), all + 2);
    assert_int_equal(fet__kernel_uses("nobody"), 0);
}

static void nobody_accepts(void **state)
{
    (void)state;
    const kernel_case add = {.op = FET__OP_ADD, .inputs = 2, .in = {D(3, 4), D(3, 4)}, .out = D(3, 4)};
    fet__problem p = kernel_case_problem(&add, FET_U8);
    fet__prepared k;
    assert_int_equal(fet__kernel_prepare(&k, &p, false), FET_E_BUG);
    assert_non_null(strstr(fet_error_message(), "add(u8 [3, 4], u8 [3, 4])"));
    assert_int_equal(fet__kernel_prepare(&k, &p, true), FET_E_BUG);
    const fet__kernel *rows[4];
    assert_int_equal(fet__kernel_candidates(rows, 4, &p), 0);
}

/* Memory that runs out while a row is prepared is said, not hidden, and leaves nothing behind. */
static void prepare_survives_lack_of_memory(void **state)
{
    (void)state;
    const kernel_case linear = {
        .op = FET__OP_LINEAR, .inputs = 3, .in = {D(300, 256), D(128, 256), D(128)}, .out = D(300, 128)};
    fet__problem p = kernel_case_problem(&linear, FET_F32);
    const fet__kernel *rows[16];
    int n = fet__kernel_candidates(rows, 16, &p);
    for (int i = 0; i < n; i++)
        for (uint64_t at = 1; at < 10; at++) {
            fet__prepared k;
            uint64_t held = fet__alloc_bytes();
            fet__alloc_fail_after(at);
            fet_status st = fet__kernel_prepare_with(&k, &p, rows[i]);
            fet__alloc_fail_after(0);
            assert_true(st == FET_OK || st == FET_E_NOMEM);
            if (st == FET_OK)
                fet__kernel_release(&k);
            assert_true(fet__alloc_bytes() == held);
            if (st == FET_OK)
                break;
        }
}

static void peak_is_measured(void **state)
{
    (void)state;
    double single = fet__measure_peak(FET_F32, 0.05), wide = fet__measure_peak(FET_F64, 0.05);
    assert_true(single > 0.5 && single < 1e6);
    assert_true(wide > 0.2 && wide < single * 1.5);
    assert_true(fet__measure_peak(FET_BF16, 0.02) >= 0);
    assert_true(fet__measure_peak(FET_I32, 0.02) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_contractions_go_to_onednn),
        cmocka_unit_test(thin_gradients_go_to_own_rows),
        cmocka_unit_test(reference_on_demand_and_for_double),
        cmocka_unit_test(reference_serves_every_operator),
        cmocka_unit_test(uses_are_counted),
        cmocka_unit_test(nobody_accepts),
        cmocka_unit_test(prepare_survives_lack_of_memory),
        cmocka_unit_test(peak_is_measured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
