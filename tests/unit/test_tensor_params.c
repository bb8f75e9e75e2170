/* The parameter store: order, lookup, renaming, removal, borrowed data, kept resources, failed allocations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "tensor/tensor.h"

static fet__params *store;
static uint64_t bytes_before;

static int setup(void **state)
{
    (void)state;
    bytes_before = fet__alloc_bytes();
    return fet__params_create(&store) == FET_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    fet__params_destroy(store);
    return fet__alloc_bytes() == bytes_before ? 0 : -1; /* nothing leaks */
}

static fet__param *add(const char *name, int64_t size)
{
    fet__param *p;

    assert_int_equal(fet__params_add(store, &p, name, FET_F32, FET_SHAPE(size), FET__PARAM), FET_OK);
    return p;
}

static void entries_are_zeroed_and_described(void **state)
{
    fet__param *p;

    (void)state;
    assert_int_equal(fet__params_add(store, &p, "w", FET_BF16, FET_SHAPE(3, 5), FET__STATE), FET_OK);
    assert_string_equal(p->name, "w");
    assert_int_equal(p->dtype, FET_BF16);
    assert_int_equal(p->bytes, 30);
    assert_int_equal(p->role, FET__STATE);
    assert_int_equal((uintptr_t)p->data % 64, 0);
    for (int i = 0; i < 30; i++)
        assert_int_equal(((char *)p->data)[i], 0);
    assert_false(p->borrowed || p->trainable || p->adapter || p->loaded);
    assert_non_null(add("empty", 0)->data);
}

static void many_entries_are_found_and_stay_in_place(void **state)
{
    fet__param *places[1000];
    char name[64];

    (void)state;
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "blocks.%d.mlp.fc%d.weight", i / 2, i % 2);
        places[i] = add(name, 2);
    }
    assert_int_equal(fet__params_count(store), 1000);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "blocks.%d.mlp.fc%d.weight", i / 2, i % 2);
        assert_ptr_equal(fet__params_find(store, name), places[i]);
        assert_ptr_equal(fet__params_at(store, i), places[i]);
    }
    assert_null(fet__params_find(store, "blocks.0.mlp.fc2.weight"));
    assert_int_equal(fet__params_bytes(store), 8000);
}

static void bad_entries_are_refused(void **state)
{
    fet__param *p;

    (void)state;
    add("w", 1);
    assert_int_equal(fet__params_add(store, &p, "w", FET_F32, FET_SHAPE(1), FET__PARAM), FET_E_ARG);
    assert_null(p);
    assert_string_equal(fet_error_message(), "parameter w exists already");
    assert_int_equal(fet__params_add(store, NULL, "", FET_F32, FET_SHAPE(1), FET__PARAM), FET_E_ARG);
    assert_int_equal(fet__params_add(store, &p, "v", FET_F32, FET_SHAPE(INT64_MAX / 2), FET__PARAM), FET_E_ARG);
    assert_non_null(strstr(fet_error_message(), "parameter v: a tensor of shape [4611686018427387903]"));
    assert_int_equal(fet__params_add(store, &p, "v", FET_F32, FET_SHAPE(-1), FET__PARAM), FET_E_ARG);
    assert_int_equal(fet__params_count(store), 1);
}

static void renaming(void **state)
{
    fet__param *a = add("a", 1), *b = add("b", 1);

    (void)state;
    assert_int_equal(fet__params_rename(store, a, "b"), FET_E_ARG);
    assert_string_equal(a->name, "a");
    assert_int_equal(fet__params_rename(store, a, "a"), FET_OK);
    assert_int_equal(fet__params_rename(store, a, "c"), FET_OK);
    assert_null(fet__params_find(store, "a"));
    assert_ptr_equal(fet__params_find(store, "c"), a);
    assert_ptr_equal(fet__params_find(store, "b"), b);
    assert_string_equal(a->name, "c");
}

static void removal_keeps_the_order_of_the_rest(void **state)
{
    char name[8];

    (void)state;
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "%d", i);
        add(name, 1);
    }
    for (int i = 0; i < 100; i += 2) {
        snprintf(name, sizeof name, "%d", i);
        fet__params_remove(store, fet__params_find(store, name));
        assert_null(fet__params_find(store, name));
    }
    assert_int_equal(fet__params_count(store), 50);
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "%d", 2 * i + 1);
        assert_string_equal(fet__params_at(store, i)->name, name);
        assert_ptr_equal(fet__params_find(store, name), fet__params_at(store, i));
    }
    add("0", 1);
}

static void borrowed_data_is_copied_before_writing(void **state)
{
    static const float data[4] = {1, 2, 3, 4};
    char crooked[sizeof data + 1];
    fet__param *p, *q;

    (void)state;
    assert_int_equal(fet__params_add_borrowed(store, &p, "w", FET_F32, FET_SHAPE(4), FET__PARAM, data), FET_OK);
    assert_ptr_equal(p->data, data);
    assert_true(p->borrowed);
    assert_int_equal(fet__params_bytes(store), 0);
    assert_int_equal(fet__param_own(p), FET_OK);
    assert_false(p->borrowed);
    assert_memory_equal(p->data, data, sizeof data);
    ((float *)p->data)[0] = 9;
    assert_int_equal(fet__param_own(p), FET_OK); /* a second call changes nothing */
    assert_true(((float *)p->data)[0] == 9 && data[0] == 1);
    assert_int_equal(fet__params_bytes(store), 16);

    memcpy(crooked + 1, data, sizeof data);
    q = NULL;
    for (int at = 0; at < 2; at++) { /* one of the two is not a float's place */
        char name[8];
        const char *source = crooked + at;

        snprintf(name, sizeof name, "c%d", at);
        assert_int_equal(fet__params_add_borrowed(store, &q, name, FET_F32, FET_SHAPE(4), FET__PARAM, source), FET_OK);
        assert_int_equal(q->borrowed, (uintptr_t)source % 4 == 0);
        assert_memory_equal(q->data, source, sizeof data);
        assert_int_equal((uintptr_t)q->data % 4, 0);
    }
}

static char released[8];

static void release(void *name)
{
    strcat(released, name);
}

static void resources_are_released_last_first(void **state)
{
    (void)state;
    released[0] = '\0';
    assert_int_equal(fet__params_keep(store, "a", release), FET_OK);
    assert_int_equal(fet__params_keep(store, "b", release), FET_OK);
    assert_string_equal(released, "");
    fet__params_destroy(store);
    assert_string_equal(released, "ba");
    assert_int_equal(fet__params_create(&store), FET_OK);
    fet__alloc_fail_after(1);
    assert_int_equal(fet__params_keep(store, "c", release), FET_E_NOMEM);
    fet__params_destroy(store);
    assert_string_equal(released, "ba"); /* what was not kept is still the caller's */
    store = NULL;
}

static void every_failed_allocation_leaves_the_store_whole(void **state)
{
    int n;
    char name[16];

    (void)state;
    for (int i = 0; i < 64; i++) {
        snprintf(name, sizeof name, "p%d", i);
        add(name, 3);
    }
    for (n = 1;; n++) { /* the 65th entry makes the table grow */
        fet__param *p;

        fet__alloc_fail_after((uint64_t)n);
        if (fet__params_add(store, &p, "last", FET_F32, FET_SHAPE(3), FET__PARAM) == FET_OK)
            break;
        assert_null(p);
        assert_int_equal(fet__params_count(store), 64);
        assert_null(fet__params_find(store, "last"));
        assert_non_null(fet__params_find(store, "p17"));
    }
    fet__alloc_fail_after(0);
    assert_in_range(n, 4, 10);
    assert_ptr_equal(fet__params_find(store, "last"), fet__params_at(store, 64));
    fet__alloc_fail_after(1);
    assert_int_equal(fet__params_rename(store, fet__params_at(store, 0), "q"), FET_E_NOMEM);
    assert_ptr_equal(fet__params_find(store, "p0"), fet__params_at(store, 0));
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(entries_are_zeroed_and_described),
        WITH_STORE(many_entries_are_found_and_stay_in_place),
        WITH_STORE(bad_entries_are_refused),
        WITH_STORE(renaming),
        WITH_STORE(removal_keeps_the_order_of_the_rest),
        WITH_STORE(borrowed_data_is_copied_before_writing),
        WITH_STORE(resources_are_released_last_first),
        WITH_STORE(every_failed_allocation_leaves_the_store_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
