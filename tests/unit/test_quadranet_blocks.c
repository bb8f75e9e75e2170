/* Networks whose blocks differ: written as text, printed as the same text, recognised from their tensors, refused when wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "model/model_int.h"

static char *printed(const fet__arch *a)
{
    fet__text t = {0};
    char *s;

    a->class_->print(a, &t);
    s = fet__strdup(t.s);
    fet__text_fini(&t);
    assert_non_null(s);
    return s;
}

/* A store with the parameters of the network, without values. */
static fet__params *parameters(fet__arch *a)
{
    fet__build b = {.may_initialise = true, .shapes_only = true, .dtype = FET_F32};
    fet__node *images, *features, *logits;

    assert_int_equal(fet__params_create(&b.store), FET_OK);
    assert_int_equal(fet__graph_create(&b.g), FET_OK);
    images = fet__input(b.g, "images", FET_F32, FET_SHAPE(1, a->height, a->width, 3));
    a->class_->build(a, &b, images, &features, &logits);
    assert_int_equal(fet__graph_status(b.g), FET_OK);
    fet__graph_destroy(b.g);
    return b.store;
}

static int64_t size_of(const fet__params *s, const char *name, int axis)
{
    return fet__param_size(s, name, axis);
}

static void blocks_differ_and_come_back(void **state)
{
    static const char *const mixers[] = {"quadratic", "conv"};

    (void)state;
    for (size_t m = 0; m < FET_COUNT(mixers); m++) {
        const char *kernel = m ? "stages.2.0.QuadraConv.weight" : "stages.2.0.QuadraConv.conv2.weight";
        fet__arch a = {0}, again = {0}, read = {0};
        fet__params *s;
        char text[200], *first, *second, *third;

        snprintf(text, sizeof text, "quadranet:depths=1+1+2+1,dim=8,blocks=k3e2+k5e4+k7e2+k3e4+k9e1,mixer=%s,img=64",
                 mixers[m]);
        assert_int_equal(fet__arch_create(&a, text), FET_OK);
        first = printed(&a);
        assert_non_null(strstr(first, ",blocks=k3e2+k5e4+k7e2+k3e4+k9e1"));
        assert_int_equal(fet__arch_create(&again, first), FET_OK);
        second = printed(&again);
        assert_string_equal(first, second);
        s = parameters(&a);
        assert_int_equal(size_of(s, kernel, 2), 7);
        assert_int_equal(size_of(s, "stages.0.0.pwconv1.weight", 0), 16);
        assert_int_equal(size_of(s, "stages.3.0.pwconv1.weight", 0), 64);
        assert_int_equal(fet__arch_recognise(&read, s), FET_OK);
        third = printed(&read);
        assert_non_null(strstr(third, ",blocks=k3e2+k5e4+k7e2+k3e4+k9e1"));
        fet__free(first);
        fet__free(second);
        fet__free(third);
        fet__params_destroy(s);
        fet__arch_fini(&a);
        fet__arch_fini(&again);
        fet__arch_fini(&read);
    }
}

/* Blocks that are all alike need no list. */
static void equal_blocks_are_not_listed(void **state)
{
    fet__arch a = {0}, read = {0};
    fet__params *s;
    char *text;

    (void)state;
    assert_int_equal(fet__arch_create(&a, "quadranet:depths=1+1+1+1,dim=8,blocks=k5e2+k5e2+k5e2+k5e2,img=64"), FET_OK);
    s = parameters(&a);
    assert_int_equal(fet__arch_recognise(&read, s), FET_OK);
    text = printed(&read);
    assert_null(strstr(text, "blocks="));
    assert_non_null(strstr(text, "kernel=5,expand=2"));
    fet__free(text);
    fet__params_destroy(s);
    fet__arch_fini(&a);
    fet__arch_fini(&read);
}

static void wrong_lists_are_refused(void **state)
{
    static const char *const lists[] = {"",
                                        "k3e2+k3e2",
                                        "k4e2+k3e2+k3e2+k3e2",
                                        "k3e2+k3e2+k3e2+k3e0",
                                        "k3e2k3e2",
                                        "k3e2+k3e2+k3e2+",
                                        "k3e2+k3e2+k3e2+k3e2+k3e2",
                                        "k65e2+k3e2+k3e2+k3e2",
                                        "3x2+3x2+3x2+3x2"};
    (void)state;
    for (size_t i = 0; i < FET_COUNT(lists); i++) {
        fet__arch a = {0};
        char text[200];

        snprintf(text, sizeof text, "quadranet:depths=1+1+1+1,dim=8,blocks=%s", lists[i]);
        if (fet__arch_create(&a, text) != FET_E_ARG)
            fail_msg("blocks=%s is taken", lists[i]);
        assert_non_null(strstr(fet_error_message(), "quadranet"));
        fet__arch_fini(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_differ_and_come_back),
        cmocka_unit_test(equal_blocks_are_not_listed),
        cmocka_unit_test(wrong_lists_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
