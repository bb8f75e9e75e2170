/* A plan as a table: totals, then one line a step in the order in which they run. */
#include "exec/exec_int.h"

#include <stdlib.h>
#include <string.h>

#define MIB 1048576.0

const char *fet__step_name(const fet__step *s)
{
    if (s->kind == FET__STEP_PACK)
        return "pack";
    if (s->node != NULL)
        return fet__op_rows[s->node->op].name;
    return s->kind == FET__STEP_COPY ? "copy" : "assign";
}

const char *fet__step_kernel(const fet__step *s)
{
    return s->kernel ? s->kernel->kernel->name : "memcpy";
}

const fet__step *fet__largest_step(const fet__program *p, int64_t *bytes)
{
    const fet__step *largest = NULL;

    *bytes = 0;
    for (int t = 0; t < p->order_count; t++) {
        const fet__step *s = &p->steps[p->order[t]];
        int64_t size = s->scratch >= 0 ? p->spans[s->scratch].bytes : 0;

        if (s->value >= 0)
            size += p->values[s->value].bytes;
        if (largest == NULL || size > *bytes) {
            largest = s;
            *bytes = size;
        }
    }
    return largest;
}

/* ---- what is computed again ----------------------------------------------------------------------------------------- */

/* The block of a scope: up to its first number ("target.layer3.4" of "target.layer3.4.conv1"); all of it where there is none. */
static int block_length(const char *scope)
{
    for (int i = 0; scope[i];) {
        int end = i;
        bool number = scope[i] != '\0';

        for (; scope[end] && scope[end] != '.'; end++)
            number = number && scope[end] >= '0' && scope[end] <= '9';
        if (number)
            return end;
        i = end + (scope[end] == '.');
    }
    return (int)strlen(scope);
}

/* The number at the end of a block's name, and the length of what stands in front of it; -1: there is none. */
static int number_of(const char *block, int length, int *prefix)
{
    int number = 0;

    *prefix = length;
    while (*prefix > 0 && block[*prefix - 1] >= '0' && block[*prefix - 1] <= '9')
        --*prefix;
    if (*prefix == length || length - *prefix > 6)
        return -1;
    for (int i = *prefix; i < length; i++)
        number = 10 * number + (block[i] - '0');
    return number;
}

typedef struct block {
    const char *name;
    int length;
} block;

static int by_block(const void *pa, const void *pb)
{
    const block *a = pa, *b = pb;
    int pa_length, pb_length, na = number_of(a->name, a->length, &pa_length),
                              nb = number_of(b->name, b->length, &pb_length);
    int shorter = pa_length < pb_length ? pa_length : pb_length, order = strncmp(a->name, b->name, (size_t)shorter);

    if (order != 0 || pa_length != pb_length)
        return order != 0 ? order : pa_length - pb_length;
    return (na > nb) - (na < nb);
}

/* "blocks.0-7", and how far it went. */
static int print_range(fet__text *out, const block *list, int from, int count)
{
    int prefix, first = number_of(list[from].name, list[from].length, &prefix), last = first, to = from + 1;

    for (; to < count; to++) {
        int other, next = number_of(list[to].name, list[to].length, &other);

        if (by_block(&list[to - 1], &list[to]) == 0)
            continue;
        if (next != last + 1 || first < 0 || other != prefix ||
            strncmp(list[to].name, list[from].name, (size_t)prefix) != 0)
            break;
        last = next;
    }
    fet__text_printf(out, "%s%.*s", from > 0 ? ", " : "", list[from].length, list[from].name);
    if (last > first)
        fet__text_printf(out, "-%d", last);
    return to;
}

fet_status fet__program_repeats(const fet__program *p, fet__text *out)
{
    block *list = NULL;
    int count = 0;
    fet_status st;

    FET_TRY(FET_NEW(list, p->order_count));
    for (int t = 0; t < p->order_count; t++) {
        const fet__node *n = p->steps[p->order[t]].node;

        if (n && n->id >= p->first_repeat && n->scope[0])
            list[count++] = (block){n->scope, block_length(n->scope)};
    }
    qsort(list, (size_t)count, sizeof *list, by_block);
    for (int i = 0; i < count;)
        i = print_range(out, list, i, count);
    if (out->failed)
        st = FET_FAIL(FET_E_NOMEM, "out of memory while printing a plan");
done:
    fet__free(list);
    return st;
}

static void print_totals(const fet__program *p, fet__text *out)
{
    const fet__program_info *i = &p->info;

    fet__text_printf(out, "plan     %d nodes, %d steps (%d of them once, %d write the store)\n", i->nodes, i->steps,
                     p->prologue_count, p->order_count - p->tail);
    fet__text_printf(out, "memory   %.1f MiB = arena %.1f + packed weights %.1f + values kept %.1f\n",
                     (double)i->total_bytes / MIB, (double)i->arena_bytes / MIB, (double)i->packed_bytes / MIB,
                     (double)i->once_bytes / MIB);
    fet__text_printf(out, "arena    fullest step %.1f MiB, largest scratch %.1f MiB\n", (double)i->floor_bytes / MIB,
                     (double)i->scratch_bytes / MIB);
    fet__text_printf(out, "weights  %.1f MiB in the store\n", (double)i->weight_bytes / MIB);
    fet__text_printf(out, "work     %.3f GFLOP, %.1f MiB moved\n", i->flops / 1e9, i->bytes_moved / MIB);
    if (i->repeated == 0)
        return;
    fet__text_printf(out, "again    %d steps, %.3f GFLOP (%.1f %% more): ", i->repeated, i->repeated_flops / 1e9,
                     i->flops > 0 ? 100 * i->repeated_flops / i->flops : 0);
    fet__program_repeats(p, out);
    fet__text_printf(out, "\n");
}

/* Where a step's result lies: "12.5" MiB into the arena, or the name of the parameter. */
static void print_place(const fet__program *p, fet__text *out, const fet__step *s)
{
    const fet__value *v = s->value >= 0 ? &p->values[s->value] : NULL;

    if (s->kind == FET__STEP_PACK)
        fet__text_printf(out, "packed %9.2f %9.2f", (double)p->packs[s->packed].place / MIB,
                         (double)p->packs[s->packed].bytes / MIB);
    else if (v == NULL || v->region == FET__IN_PARAM)
        fet__text_printf(out, "store  %9s %9.2f", "-", (double)(v ? v->bytes : s->bytes) / MIB);
    else
        fet__text_printf(out, "%-6s %9.2f %9.2f", v->region == FET__IN_ONCE ? "once" : "arena", (double)v->place / MIB,
                         (double)v->bytes / MIB);
    if (v != NULL && v->region == FET__IN_ARENA)
        fet__text_printf(out, " %5d-%-5d", v->first, v->last);
    else
        fet__text_printf(out, " %11s", "");
}

static void print_step(const fet__program *p, fet__text *out, int time)
{
    const fet__step *s = &p->steps[p->order[time]];
    const fet__value *v = s->value >= 0 ? &p->values[s->value] : NULL;
    const char *shape = s->node ? fet__shape_text(&s->node->shape) : "";
    const char *what = s->node     ? s->node->scope
                       : s->target ? s->target->name
                                   : p->values[s->input[0].value].param->name;
    bool overlay = v != NULL && v->span >= 0 && p->spans[v->span].first < v->first;

    fet__text_printf(out, "%5d %-18s %-24s %-22s ", time, fet__step_name(s), shape, fet__step_kernel(s));
    print_place(p, out, s);
    fet__text_printf(out, " %s%s%s\n", overlay ? "in place " : "", s->node && s->node->backward ? "backward " : "",
                     what);
}

fet_status fet__program_print(const fet__program *p, fet__text *out, bool steps)
{
    print_totals(p, out);
    if (steps) {
        fet__text_printf(out, "\n%5s %-18s %-24s %-22s %-6s %9s %9s %11s %s\n", "step", "operator", "shape", "kernel",
                         "region", "at MiB", "MiB", "lives", "where");
        for (int t = 0; t < p->order_count; t++)
            print_step(p, out, t);
    }
    if (out->failed)
        return FET_FAIL(FET_E_NOMEM, "out of memory while printing a plan");
    return FET_OK;
}
