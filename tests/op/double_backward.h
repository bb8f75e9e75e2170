/* The operators of golden/mabn/12_double_backward_ops as graphs: what the file calls them and what they are differentiated by. Shared by the
 * operator tests and the parity runner. */
#ifndef FET_TEST_DOUBLE_BACKWARD_H
#define FET_TEST_DOUBLE_BACKWARD_H

#include "graph/graph.h"

#define MOST 3

typedef struct double_backward_case {
    const char *name;
    const char *wrt[MOST]; /* inputs that are differentiated by */
    const char *other[2];  /* inputs that are not */
    fet__node *(*build)(fet__graph *g, fet__node *const *in, fet__node *const *other, const void *user);
    const void *user;
} double_backward_case;
extern const double_backward_case double_backward_cases[]; /* ended by name NULL */

#endif
