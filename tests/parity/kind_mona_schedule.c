/* mona.lr_schedules: the rates of classification (cosine), segmentation (poly) and detection (steps), where warm-up multiplies what
 * the decay says (methods/mona.md section 5). */
#include "parity/parity.h"
#include "train/train.h"

#include <string.h>

/* Numbers behind words: "base 3.125e-05, 63 iters/epoch" has base 3.125e-05. */
static double word(const char *text, const char *key, double fallback)
{
    const char *at = strstr(text, key);
    double v;

    return at && sscanf(at + strlen(key), " %lf", &v) == 1 ? v : fallback;
}

static fet_status check(parity_case *c, const char *in, const char *out, const fet__schedule *s)
{
    double *at = NULL, *rate = NULL;
    int64_t n;
    fet_status st;

    FET_TRY(parity_doubles(c, in, &at, &n));
    FET_TRY(FET_NEW(rate, n));
    for (int64_t i = 0; i < n; i++)
        rate[i] = fet__schedule_at(s, at[i]);
    st = parity_compare(c, out, rate, FET_F64, n, PARITY_REL, 1e-6);
done:
    fet__free(at);
    fet__free(rate);
    return st;
}

/* The decay counts epochs, the warm-up iterations. */
static fet_status check_coco(parity_case *c, const char *text)
{
    fet__schedule warm = {.kind = FET__CONSTANT, .base = 1, .warmup = word(text, "warmup", 0)};
    fet__schedule steps = {.kind = FET__STEP, .base = word(text, "base", 0), .gamma = 0.1};
    double *at = NULL, *rate = NULL;
    int64_t n;
    fet_status st;

    warm.warmup_start = word(text, "ratio", 0);
    if (sscanf(strstr(text, "step") ? strstr(text, "step") : "", "step %lf,%lf gamma %lf", &steps.milestones[0],
               &steps.milestones[1], &steps.gamma) != 3)
        return FET_FAIL(FET_E_FORMAT, "the metadata's coco is not of the known form");
    steps.milestone_count = 2;
    FET_TRY(parity_doubles(c, "in.coco.epoch_iter", &at, &n));
    FET_TRY(FET_NEW(rate, n / 2));
    for (int64_t i = 0; i < n / 2; i++)
        rate[i] = fet__schedule_at(&steps, at[2 * i]) * fet__schedule_at(&warm, at[2 * i + 1]);
    st = parity_compare(c, "out.coco.lr", rate, FET_F64, n / 2, PARITY_REL, 1e-6);
done:
    fet__free(at);
    fet__free(rate);
    return st;
}

fet_status parity_mona_lr_schedules(parity_case *c)
{
    const char *cls = parity_text(c, "cls", ""), *ade = parity_text(c, "ade", "");
    double each = word(cls, ",", 0), base = word(cls, "base", 0);
    fet__schedule cosine = {.kind = FET__COSINE,
                            .base = base,
                            .min = base * word(cls, "min ratio", 0),
                            .total = each * word(cls, "iters/epoch,", 0),
                            .warmup = each * word(cls, "warmup", 0),
                            .warmup_multiplies = true,
                            .warmup_start = base * word(cls, "epochs ratio", 0)};
    fet__schedule poly = {.kind = FET__POLY,
                          .base = word(ade, "base", 0),
                          .power = word(ade, "power", 0),
                          .total = parity_number(c, "ade_total_iters", 0),
                          .warmup = word(ade, "warmup", 0),
                          .warmup_multiplies = true};
    fet_status st;

    poly.warmup_start = poly.base * word(ade, "ratio", 0);
    FET_TRY(check(c, "in.cls.iter", "out.cls.lr", &cosine));
    FET_TRY(check(c, "in.ade.iter", "out.ade.lr", &poly));
    st = check_coco(c, parity_text(c, "coco", ""));
done:
    return st;
}
