/* Which problems the tile interpreter takes: groups, and single element-wise operators, broadcasts and reductions, which become
 * programs of one instruction. */
#include <string.h>

#include "kernel/x86/group.h"

static bool is_element(fet__op op)
{
    fet__op_class c = fet__op_rows[op].class_;

    return c == FET__CLASS_ELEMENT || c == FET__CLASS_FUSED_ELEMENT;
}

void fet__group_single(fet__group *g, const fet__problem *p)
{
    bool reduces = p->op == FET__OP_SUM || p->op == FET__OP_REDUCE_MAX;
    bool copies = reduces || p->op == FET__OP_BROADCAST;
    fet__instr *s = &g->instr[0];

    memset(g, 0, sizeof *g);
    g->full = reduces ? p->input[0].shape : p->output.shape;
    g->reduce_axes = reduces ? p->attr.reduce.axes : 0;
    g->input_count = p->input_count;
    g->instr_count = 1;
    s->op = (uint16_t)(copies ? FET__OP_STOP_GRADIENT : p->op);
    s->a = p->input_count > 0 ? 0 : -1;
    s->b = p->input_count > 1 ? 1 : -1;
    s->c = p->input_count > 2 ? 2 : -1;
    s->attr = p->attr;
}

static bool is_one_value(const fet__shape *s)
{
    for (int i = 0; i < s->rank; i++)
        if (s->dim[i] != 1)
            return false;
    return true;
}

static bool shape_fits(const fet__shape *s, const fet__shape *full)
{
    if (s->rank == 0)
        return true;
    if (s->rank != full->rank)
        return false;
    for (int i = 0; i < s->rank; i++)
        if (s->dim[i] != full->dim[i] && s->dim[i] != 1)
            return false;
    return true;
}

/* Integers enter as the operand of a cast or as a step of RANDOM, nowhere else. */
static bool reads_well(const fet__problem *p, const fet__group *g, const fet__instr *s, int defined)
{
    const int16_t operand[3] = {s->a, s->b, s->c};

    for (int i = 0; i < 3; i++) {
        bool whole;

        if (operand[i] < 0)
            continue;
        if (operand[i] >= defined)
            return false;
        whole = operand[i] < g->input_count && p->input[operand[i]].dtype == FET_I32;
        if (whole && s->op != FET__OP_CAST && s->op != FET__OP_RANDOM)
            return false;
        if (s->op == FET__OP_RANDOM && (!whole || !is_one_value(&p->input[operand[i]].shape)))
            return false;
    }
    return true;
}

static bool instruction_fits(const fet__problem *p, const fet__group *g, int at)
{
    const fet__instr *s = &g->instr[at];
    const int16_t operand[3] = {s->a, s->b, s->c};

    if (s->op >= FET__OP_COUNT || !(is_element((fet__op)s->op) || s->op == FET__OP_RANDOM || s->op == FET__OP_FILL))
        return false;
    for (int i = 0; i < 3 && i < fet__op_rows[s->op].least; i++)
        if (operand[i] < 0)
            return false;
    return reads_well(p, g, s, g->input_count + at);
}

static bool program_fits(const fet__problem *p, const fet__group *g)
{
    if (p->output.dtype != FET_F32 || g->instr_count < 1 || g->instr_count > FET__GROUP_INSTRS ||
        g->input_count > FET__MAX_INPUTS || fet__shape_count(&g->full) < 0)
        return false;
    for (int i = 0; i < g->input_count; i++)
        if ((p->input[i].dtype != FET_F32 && p->input[i].dtype != FET_I32) || !shape_fits(&p->input[i].shape, &g->full))
            return false;
    for (int i = 0; i < g->instr_count; i++)
        if (!instruction_fits(p, g, i))
            return false;
    return true;
}

bool fet__group_accepts(const fet__problem *p)
{
    return p->op == FET__OP_GROUP && p->group && program_fits(p, p->group);
}

bool fet__element_accepts(const fet__problem *p)
{
    fet__group g = {0};

    if (!is_element(p->op) && p->op != FET__OP_BROADCAST && p->op != FET__OP_RANDOM && p->op != FET__OP_FILL)
        return false;
    fet__group_single(&g, p);
    return program_fits(p, &g);
}

bool fet__reduce_accepts(const fet__problem *p)
{
    fet__group g = {0};

    if (p->op != FET__OP_SUM && p->op != FET__OP_REDUCE_MAX)
        return false;
    fet__group_single(&g, p);
    return program_fits(p, &g);
}
