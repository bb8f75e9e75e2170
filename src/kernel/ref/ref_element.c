/* The element-wise operators on one element, in double, and the interpreter of groups, one element at a time. */
#include <math.h>

#include "kernel/ref/ref_int.h"

static double compare(int32_t relation, double a, double b)
{
    switch (relation) {
    case FET__EQ: return a == b;
    case FET__NE: return a != b;
    case FET__LT: return a < b;
    case FET__LE: return a <= b;
    case FET__GT: return a > b;
    default: return a >= b;
    }
}

static double normal_cdf(double x)
{
    return 0.5 * (1.0 + erf(x * 0.70710678118654752440));
}

static double normal_pdf(double x)
{
    return 0.39894228040143267794 * exp(-0.5 * x * x);
}

/* min and max hand NaN on from either side. */
double fet__ref_element(fet__op op, const fet__attr *attr, double a, double b, double c)
{
    switch (op) {
    case FET__OP_ADD: return a + b;
    case FET__OP_SUB: return a - b;
    case FET__OP_MUL: return a * b;
    case FET__OP_DIV: return a / b;
    case FET__OP_MIN: return a < b || isnan(a) ? a : b;
    case FET__OP_MAX: return a > b || isnan(a) ? a : b;
    case FET__OP_NEG: return -a;
    case FET__OP_ABS: return fabs(a);
    case FET__OP_EXP: return exp(a);
    case FET__OP_LOG: return log(a);
    case FET__OP_SQRT: return sqrt(a);
    case FET__OP_RSQRT: return 1.0 / sqrt(a);
    case FET__OP_TANH: return tanh(a);
    case FET__OP_ERF: return erf(a);
    case FET__OP_SIGMOID: return 1.0 / (1.0 + exp(-a));
    case FET__OP_POW_INT: return pow(a, attr->power.n);
    case FET__OP_COMPARE: return compare(attr->compare.relation, a, b);
    case FET__OP_WHERE: return a != 0 ? b : c;
    case FET__OP_GELU: return a * normal_cdf(a);
    case FET__OP_GELU_GRAD: return normal_cdf(a) + a * normal_pdf(a);
    case FET__OP_FILL: return attr->fill.value;
    default: /* cast within floating types, stop_gradient */ return a;
    }
}

void fet__ref_group_begin(fet__ref_group *g, const fet__problem *p, const fet__call *c)
{
    g->group = p->group;
    g->problem = p;
    g->call = c;
    for (int i = 0; i < p->group->input_count; i++)
        fet__ref_broadcast_strides(g->stride[i], &p->input[i].shape, &p->group->full);
}

double fet__ref_group_at(const fet__ref_group *g, int64_t i)
{
    const fet__group *group = g->group;
    double reg[FET__MAX_INPUTS + FET__GROUP_INSTRS];
    int n = 0;
    reg[0] = 0;
    for (; n < group->input_count; n++)
        reg[n] = fet__ref_load(g->call->input[n], g->problem->input[n].dtype,
                               fet__ref_offset(i, &group->full, g->stride[n]));
    for (int k = 0; k < group->instr_count; k++, n++) {
        const fet__instr *s = &group->instr[k];
        double a = s->a >= 0 ? reg[s->a] : 0, b = s->b >= 0 ? reg[s->b] : 0, c = s->c >= 0 ? reg[s->c] : 0;
        if (s->op == FET__OP_RANDOM)
            reg[n] = fet__random_uniform(s->attr.random.seed, s->attr.random.stream, (uint32_t)(int32_t)a, (uint64_t)i);
        else
            reg[n] = fet__ref_element(s->op, &s->attr, a, b, c);
    }
    return reg[n ? n - 1 : 0];
}
