/* The moving average of the trained weights in the place of the weights, for evaluation and for the files of a run. The average itself
 * is made by the step's program (optimizer.c); here contents are exchanged, and exchanged back before training goes on. */
#include "train/train_int.h"

#include <stdio.h>

static void exchange(fet__param *a, fet__param *b)
{
    unsigned char *x = a->data, *y = b->data;

    for (int64_t i = 0; i < a->bytes; i++) {
        unsigned char keep = x[i];

        x[i] = y[i];
        y[i] = keep;
    }
    a->version++;
    b->version++;
}

void fet__average_exchange(fet__params *store)
{
    char name[FET__STATE_NAME];

    for (int i = 0; i < fet__params_count(store); i++) {
        fet__param *p = fet__params_at(store, i), *average;

        if (p->role == FET__STATE || !p->trainable)
            continue;
        snprintf(name, sizeof name, "optim.%s.ema", p->name);
        average = fet__params_find(store, name);
        if (average && average->bytes == p->bytes)
            exchange(p, average);
    }
}
