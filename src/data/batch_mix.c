/* Mixup and CutMix of a whole batch: who mixes with whom, how much, and what that makes of the labels. The loss of a mixed
 * picture is own * CE(label) + (1 - own) * CE(labels2), which equals the cross-entropy with the mixed soft target. */
#include "data/data_int.h"

/* Turned round, the middle picture of an odd batch is its own partner. */
static void choose_partners(int32_t *partner, int count, bool shuffled, fet__rng *r)
{
    for (int i = 0; i < count; i++)
        partner[i] = shuffled ? i : count - 1 - i;
    if (shuffled)
        fet__rng_shuffle(r, partner, count);
}

static double cut(fet__batch *b, float *scratch, const int32_t *partner, const fet__mix *m, const fet__preprocess *p,
                  fet__rng *r)
{
    int box[4];
    double lam = fet__draw_beta(m->cutmix, r);
    int y = (int)fet__rng_int(r, 0, p->height - 1), x = (int)fet__rng_int(r, 0, p->width - 1);
    lam = fet__cutmix_box(box, p->height, p->width, lam, y, x);
    fet__cutmix(b->images, scratch, b->count, p->height, p->width, 3, partner, box);
    return lam;
}

void fet__batch_mix(fet__batch *b, float *scratch, int32_t *partner, const fet__mix *m, const fet__preprocess *p,
                    fet__rng *r)
{
    double lam = 1;
    bool both = m->mixup > 0 && m->cutmix > 0, cutting = m->cutmix > 0;
    choose_partners(partner, b->count, m->shuffled, r);
    if (fet__rng_uniform(r, 0, 1) < m->probability) {
        if (both)
            cutting = fet__rng_uniform(r, 0, 1) < m->switching;
        if (cutting) {
            lam = cut(b, scratch, partner, m, p, r);
        } else {
            lam = fet__draw_beta(m->mixup, r);
            fet__mixup(b->images, scratch, b->count, (int64_t)p->height * p->width * 3, partner, lam);
        }
    }
    for (int i = 0; i < b->count; i++) {
        b->labels2[i] = b->labels[partner[i]];
        b->own[i] = (float)lam;
    }
}
