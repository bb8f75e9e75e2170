/* How well groups found without labels agree with true ones. */
#include <math.h>
#include <stdlib.h>

#include "metric/metric.h"

typedef struct pair {
    int32_t found, truth;
} pair;

static int by_found(const void *a, const void *b)
{
    const pair *x = a, *y = b;
    if (x->found != y->found)
        return x->found < y->found ? -1 : 1;
    return (x->truth > y->truth) - (x->truth < y->truth);
}

static int by_truth(const void *a, const void *b)
{
    const pair *x = a, *y = b;
    return (x->truth > y->truth) - (x->truth < y->truth);
}

static double pairs(int64_t n)
{
    return 0.5 * (double)n * (double)(n - 1);
}

typedef struct sums {
    double grouped,
        majority; /* items of groups of two and more; of these the ones with their group's most frequent truth */
    double together, right; /* pairs in one group; of these the ones with one truth */
} sums;

/* One group: items begin .. end - 1, by truth. */
static void add_group(sums *s, const pair *p, int64_t begin, int64_t end)
{
    int64_t most = 0, run = 0;
    for (int64_t i = begin; i < end; i++) {
        run = i > begin && p[i].truth == p[i - 1].truth ? run + 1 : 1;
        most = run > most ? run : most;
        if (i + 1 == end || p[i + 1].truth != p[i].truth)
            s->right += pairs(run);
    }
    s->together += pairs(end - begin);
    if (end - begin < 2)
        return;
    s->grouped += (double)(end - begin);
    s->majority += (double)most;
}

fet_status fet__grouping(fet__grouping_result *out, const int32_t *found, const int32_t *truth, int64_t n)
{
    pair *p = NULL;
    sums s = {0};
    double same = 0;
    int64_t begin = 0, kept = 0;
    fet_status st;
    FET_TRY(FET_NEW(p, n + 1));
    for (int64_t i = 0; i < n; i++)
        if (found[i] >= 0)
            p[kept++] = (pair){found[i], truth[i]};
    qsort(p, (size_t)kept, sizeof *p, by_found);
    for (int64_t i = 0; i < kept; i++)
        if (i + 1 == kept || p[i + 1].found != p[i].found) {
            add_group(&s, p, begin, i + 1);
            begin = i + 1;
        }
    for (int64_t i = 0; i < n; i++) /* every item counts for recall */
        p[i] = (pair){0, truth[i]};
    qsort(p, (size_t)n, sizeof *p, by_truth);
    begin = 0;
    for (int64_t i = 0; i < n; i++)
        if (i + 1 == n || p[i + 1].truth != p[i].truth) {
            same += pairs(i + 1 - begin);
            begin = i + 1;
        }
    out->purity = s.grouped > 0 ? s.majority / s.grouped : (double)NAN;
    out->pair_f1 = s.together + same > 0 ? 2 * s.right / (s.together + same) : (double)NAN;
done:
    fet__free(p);
    return st;
}
