/* A graph as text, one line a live node:
 *
 *     %12 f32[4,17,48] = linear(%10, $fc1.weight, $fc1.bias) {activation=none} @blocks.0.mlp
 *     %31 f32[4,17,48] = group(%12, %30) {full=[4,17,48] axes=[]; r2 = gelu(r0); r3 = mul(r2, r1)} @blocks.0.mlp backward
 *     output "loss" %40
 *     assign $fc1.weight %44
 *
 * `$name` is an entry of the store, used in place; `%n` a node's number. `backward` and `copy=n` follow the scope where they apply.
 * Names of letters, digits and _ . / - stand bare, others in quotes with \xNN. parse_graph.c reads all of it back. */
#include "graph/graph_int.h"

#include <ctype.h>
#include <string.h>

#define MOST_PRINTED 16 /* elements of a constant */

static bool plain(const char *s)
{
    if (!*s)
        return false;
    for (; *s; s++)
        if (!isalnum((unsigned char)*s) && !strchr("_./-", *s))
            return false;
    return true;
}

static void print_quoted(fet__text *t, const char *s)
{
    fet__text_printf(t, "\"");
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;

        if (c >= 32 && c < 127 && c != '"' && c != '\\')
            fet__text_printf(t, "%c", c);
        else
            fet__text_printf(t, "\\x%02x", c);
    }
    fet__text_printf(t, "\"");
}

static void print_name(fet__text *t, char sign, const char *s)
{
    fet__text_printf(t, "%c", sign);
    if (plain(s))
        fet__text_printf(t, "%s", s);
    else
        print_quoted(t, s);
}

static void print_reference(fet__text *t, const fet__node *n)
{
    if (n->param)
        print_name(t, '$', n->param->name);
    else
        fet__text_printf(t, "%%%d", n->id);
}

static void print_shape(fet__text *t, const fet__shape *s)
{
    fet__text_printf(t, "[");
    for (int i = 0; i < s->rank; i++)
        fet__text_printf(t, "%s%lld", i ? "," : "", (long long)s->dim[i]);
    fet__text_printf(t, "]");
}

static void print_const(fet__text *t, const fet__node *n)
{
    int64_t count = fet__shape_count(&n->shape);

    if (count > MOST_PRINTED) {
        fet__text_printf(t, "value=<%lld elements>", (long long)count);
        return;
    }
    fet__text_printf(t, "value=[");
    for (int64_t i = 0; i < count; i++) {
        const char *at = (const char *)n->value + (size_t)i * fet__dtype_bytes(n->dtype);
        double v;

        fet__text_printf(t, "%s", i ? "," : "");
        fet__convert(&v, FET_F64, at, n->dtype, 1);
        fet__print_double(t, v);
    }
    fet__text_printf(t, "]");
}

/* The axes of a group's reduction are printed by sum's table row. */
static void print_group(fet__text *t, const fet__node *n)
{
    const fet__group *p = n->group;
    fet__attr reduce = {.raw = {0}};

    reduce.reduce.axes = p->reduce_axes;
    fet__text_printf(t, "full=");
    print_shape(t, &p->full);
    fet__text_printf(t, " ");
    fet__attr_print(t, FET__OP_SUM, &reduce, p->full.rank, " ");
    for (int i = 0; i < p->instr_count; i++) {
        const fet__instr *in = &p->instr[i];
        const int arg[3] = {in->a, in->b, in->c};
        const char *before = "";

        fet__text_printf(t, "; r%d = %s(", p->input_count + i, fet__op_rows[in->op].name);
        for (int k = 0; k < 3 && arg[k] >= 0; k++, before = ", ")
            fet__text_printf(t, "%sr%d", before, arg[k]);
        if (arg[0] < 0 || in->op == FET__OP_RANDOM || in->op == FET__OP_POW_INT || in->op == FET__OP_COMPARE) {
            fet__text_printf(t, "%s", before);
            fet__attr_print(t, (fet__op)in->op, &in->attr, p->full.rank, ", ");
        }
        fet__text_printf(t, ")");
    }
}

static void print_braces(fet__text *t, const fet__node *n)
{
    fet__text inner = {0};
    int rank = n->op == FET__OP_SLICE || n->op == FET__OP_UNSLICE ? n->input[0]->shape.rank : n->shape.rank;

    if (n->op == FET__OP_INPUT) {
        fet__text_printf(&inner, "name=");
        print_quoted(&inner, n->name);
    } else if (n->op == FET__OP_CONST) {
        print_const(&inner, n);
    } else if (n->op == FET__OP_GROUP) {
        print_group(&inner, n);
    } else {
        fet__attr_print(&inner, n->op, &n->attr, rank, " ");
    }
    if (inner.length)
        fet__text_printf(t, " {%s}", inner.s);
    t->failed = t->failed || inner.failed;
    fet__text_fini(&inner);
}

static void print_node(fet__text *t, const fet__node *n)
{
    fet__text_printf(t, "%%%d %s", n->id, fet__dtype_name(n->dtype));
    print_shape(t, &n->shape);
    fet__text_printf(t, " = %s(", fet__op_rows[n->op].name);
    for (int i = 0; i < n->input_count; i++) {
        fet__text_printf(t, "%s", i ? ", " : "");
        print_reference(t, n->input[i]);
    }
    fet__text_printf(t, ")");
    print_braces(t, n);
    if (*n->scope) {
        fet__text_printf(t, " ");
        print_name(t, '@', n->scope);
    }
    if (n->backward)
        fet__text_printf(t, " backward");
    if (n->copy)
        fet__text_printf(t, " copy=%d", n->copy);
    fet__text_printf(t, "\n");
}

fet_status fet__graph_print(const fet__graph *g, fet__text *out)
{
    fet__node **order = NULL;
    int count = 0;
    fet_status st;

    FET_TRY(fet__graph_status(g));
    FET_TRY(fet__graph_order(g, &order, &count));
    for (int k = 0; k < count; k++)
        if (!order[k]->param)
            print_node(out, order[k]);
    for (int i = 0; i < g->output.count; i++) {
        fet__text_printf(out, "output ");
        print_quoted(out, g->output.item[i].name);
        fet__text_printf(out, " ");
        print_reference(out, g->output.item[i].value);
        fet__text_printf(out, "\n");
    }
    for (int i = 0; i < g->assign.count; i++) {
        fet__text_printf(out, "assign ");
        print_reference(out, g->assign.item[i].target);
        fet__text_printf(out, " ");
        print_reference(out, g->assign.item[i].value);
        fet__text_printf(out, "\n");
    }
    if (out->failed)
        st = FET_FAIL(FET_E_NOMEM, "out of memory while printing a graph");
done:
    fet__free(order);
    return st;
}
