/* Helpers of the tests of graph/: a store and a graph per test, printed text, counts of operators. */
#ifndef GRAPH_TESTING_H
#define GRAPH_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "graph/graph.h"

/* The message in the log says why. */
#define assert_ok(expr)                                                                                                \
    do {                                                                                                               \
        if ((expr) != FET_OK)                                                                                          \
            fail_msg("%s: %s", #expr, fet_error_message());                                                            \
    } while (0)

typedef struct fixture {
    fet__params *store;
    fet__graph *g;
} fixture;

static inline int setup(void **state)
{
    fixture *f = fet__alloc(1, sizeof *f);

    assert_non_null(f);
    assert_ok(fet__params_create(&f->store));
    assert_ok(fet__graph_create(&f->g));
    *state = f;
    return 0;
}

static inline int teardown(void **state)
{
    fixture *f = *state;

    fet__graph_destroy(f->g);
    fet__params_destroy(f->store);
    fet__free(f);
    return 0;
}
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static inline fet__node *param(fixture *f, const char *name, fet__shape shape)
{
    fet__param *p = fet__params_find(f->store, name);

    if (!p)
        assert_ok(fet__params_add(f->store, &p, name, FET_F32, shape, FET__PARAM));
    return fet__leaf(f->g, p);
}

static inline fet__node *input(fixture *f, const char *name, fet__shape shape)
{
    return fet__input(f->g, name, FET_F32, shape);
}

/* The graph's text; rotating static buffers, two live. */
static inline const char *printed(const fet__graph *g)
{
    static char buffer[2][1 << 16];
    static int next;
    fet__text t = {0};
    char *out = buffer[next ^= 1];

    assert_ok(fet__graph_print(g, &t));
    snprintf(out, sizeof buffer[0], "%s", t.s ? t.s : "");
    fet__text_fini(&t);
    return out;
}

/* Live nodes of an operator; every live node for FET__OP_COUNT. */
static inline int live(const fet__graph *g, fet__op op)
{
    fet__node **order;
    int count, found = 0;

    assert_ok(fet__graph_order(g, &order, &count));
    for (int i = 0; i < count; i++)
        found += op == FET__OP_COUNT || order[i]->op == op;
    fet__free(order);
    return found;
}

#endif
