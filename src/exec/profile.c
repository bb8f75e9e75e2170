/* Time per kernel and operator, summed over steps. */
#include <stdlib.h>
#include <string.h>

#include "exec/exec_int.h"

typedef struct row {
    const char *kernel, *op;
    double seconds, flops, bytes;
    int64_t calls;
} row;

void fet__program_profile(fet__program *p, bool on)
{
    p->profile = on;
    for (int i = 0; on && i < p->step_count; i++) {
        p->steps[i].seconds = 0;
        p->steps[i].calls = 0;
    }
}

static int by_seconds(const void *pa, const void *pb)
{
    const row *a = pa, *b = pb;
    int names;

    if (a->seconds != b->seconds)
        return a->seconds < b->seconds ? 1 : -1;
    names = strcmp(a->kernel, b->kernel);
    return names != 0 ? names : strcmp(a->op, b->op);
}

static void add_step(row *rows, int *count, const fet__step *s)
{
    const char *kernel = fet__step_kernel(s), *op = fet__step_name(s);
    fet__cost cost = {0, 2.0 * (double)s->bytes};
    int at = 0;

    if (s->kind == FET__STEP_KERNEL)
        cost = fet__node_cost(s->node);
    while (at < *count && (strcmp(rows[at].kernel, kernel) != 0 || strcmp(rows[at].op, op) != 0))
        at++;
    if (at == *count)
        rows[(*count)++] = (row){.kernel = kernel, .op = op};
    rows[at].seconds += s->seconds;
    rows[at].calls += s->calls;
    rows[at].flops += cost.flops * (double)s->calls;
    rows[at].bytes += cost.bytes * (double)s->calls;
}

fet_status fet__program_profile_print(const fet__program *p, fet__text *out)
{
    double total = 0;
    row *rows = NULL;
    fet_status st;
    int count = 0;

    FET_TRY(FET_NEW(rows, p->step_count));
    for (int i = 0; i < p->step_count; i++) {
        total += p->steps[i].seconds;
        if (p->steps[i].calls > 0)
            add_step(rows, &count, &p->steps[i]);
    }
    qsort(rows, (size_t)count, sizeof *rows, by_seconds);
    fet__text_printf(out, "%-24s %-18s %10s %6s %8s %9s %8s\n", "kernel", "operator", "seconds", "share", "calls",
                     "GFLOP/s", "GB/s");
    for (int i = 0; i < count; i++) {
        double seconds = rows[i].seconds > 0 ? rows[i].seconds : 1e-12;

        fet__text_printf(out, "%-24s %-18s %10.4f %5.1f%% %8lld %9.1f %8.1f\n", rows[i].kernel, rows[i].op,
                         rows[i].seconds, 100 * rows[i].seconds / (total > 0 ? total : 1), (long long)rows[i].calls,
                         rows[i].flops / seconds / 1e9, rows[i].bytes / seconds / 1e9);
    }
    fet__text_printf(out, "%-24s %-18s %10.4f\n", "all", "", total);
    if (out->failed)
        st = FET_FAIL(FET_E_NOMEM, "out of memory while printing a profile");
done:
    fet__free(rows);
    return st;
}
