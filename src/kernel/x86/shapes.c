/* Small questions about problems that the rows of x86/ share. */
#include "kernel/x86/x86.h"

/* Below this many nanoseconds a parallel region costs more than it saves. */
#define WORTH_A_THREAD 20000

bool fet__x86_has(fet__cpu level)
{
    return fet__cpu_level() >= level;
}

bool fet__x86_all_f32(const fet__problem *p)
{
    for (int i = 0; i < p->input_count; i++)
        if (p->input[i].dtype != FET_F32)
            return false;
    return p->output.dtype == FET_F32;
}

int64_t fet__row_count(const fet__shape *s)
{
    int64_t rows = 1;

    for (int i = 0; i + 1 < s->rank; i++)
        rows *= s->dim[i];
    return rows;
}

int64_t fet__cols(const fet__shape *s)
{
    return s->rank ? s->dim[s->rank - 1] : 1;
}

int fet__x86_team(const fet__problem *p, int64_t work)
{
    int64_t worth = work / WORTH_A_THREAD + 1;
    int most = p->threads > 1 ? p->threads : 1;

    return worth < most ? (int)worth : most;
}

void fet__x86_free_state(fet__prepared *k)
{
    fet__free(k->state);
    k->state = NULL;
}
