/* Attention forward: per query block, scores against all keys, softmax in place, product with the values. */
#include "kernel/x86/attention_rows.h"

static void attend_block(attender *t, float *y, int64_t unit)
{
    const fet__attention_plan *a = t->a;
    int64_t pair = unit / a->blocks, first = unit % a->blocks * a->block, rows = smaller(a->block, a->tokens - first);
    float *scores = t->slice + a->scores, *out = t->slice + a->rows;
    int64_t width = a->heads * a->size;
    float scale[FET__ATTENTION_BLOCK_MOST];

    if (point_at_pair(t, pair)) {
        pack_columns(t->slice + a->keys_across, t->k, t->stride, a->size, a->tokens, a->tokens_up);
        pack_rows(t->slice + a->values, t->v, t->stride, a->tokens, a->size, a->size_up);
    }
    score_block(t, first, rows);
    soften_block(t, first, rows, scale);
    multiply_packed(rows, a->size_up, a->tokens, (left_side){scores, a->tokens_up, 1}, t->slice + a->values, out,
                    a->size_up, false);
    y += (pair / a->heads * a->tokens + first) * width + pair % a->heads * a->size;
    for (int64_t i = 0; i < rows; i++)
        write_scaled(y + i * width, out + i * a->size_up, a->size, scale[i]);
}

fet_status FET__ISA(attention)(const fet__prepared *k, const fet__call *c)
{
    const fet__attention_plan *a = k->state;
    int64_t units = a->batch * a->heads * a->blocks;
    int team = fet__x86_team(&k->problem, a->batch * a->heads * a->tokens * a->tokens * (a->size + 32) / 16);

    (void)team;
#pragma omp parallel num_threads(team)
    {
        attender t = begin_attending(a, c, a->bias_groups ? c->input[1] : NULL);

#pragma omp for schedule(static)
        for (int64_t unit = 0; unit < units; unit++)
            attend_block(&t, c->output, unit);
    }
    return FET_OK;
}
