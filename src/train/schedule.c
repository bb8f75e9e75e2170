/* Learning rates over time. One closed form for all shapes: warm-up, then decay (golden/data/INDEX.md, lr_schedules). */
#include "train/train.h"

#include <math.h>

static double decayed(const fet__schedule *s, double t)
{
    double share = s->total > 0 ? (t < s->total ? t / s->total : 1) : 1, factor;
    int i;

    switch (s->kind) {
    case FET__COSINE: return s->min + (s->base - s->min) * 0.5 * (1 + cos(3.14159265358979323846 * share));
    case FET__POLY: return s->min + (s->base - s->min) * pow(1 - share, s->power);
    case FET__LINEAR: return s->min + (s->base - s->min) * (1 - share);
    case FET__EXP: return s->base * pow(s->gamma, t);
    case FET__STEP:
        if (s->every > 0)
            return s->base * pow(s->gamma, floor(t / s->every));
        for (factor = 1, i = 0; i < s->milestone_count; i++)
            if (t >= s->milestones[i])
                factor *= s->gamma;
        return s->base * factor;
    case FET__CONSTANT: break;
    }
    return s->base;
}

double fet__schedule_at(const fet__schedule *s, double t)
{
    double ratio = s->base > 0 ? s->warmup_start / s->base : 1;

    if (t < s->warmup && s->warmup_multiplies)
        return decayed(s, s->prefix ? 0 : t) * (1 - (1 - t / s->warmup) * (1 - ratio));
    if (t < s->warmup)
        return s->warmup_start + t * (s->base - s->warmup_start) / s->warmup;
    return decayed(s, s->prefix ? t - s->warmup : t);
}
