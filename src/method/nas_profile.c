/* fet_nas_profile: what each block of a search's space takes on this machine, and how well their sum predicts whole networks. */
#include "method/nas_int.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WARMUP 10
#define MOST_REPEATS 100000
#define LEAST_MS 1e-4
#define MOST_CHECKS 1000

typedef struct profiler {
    fet__arch frames[2]; /* with quadratic, with plain blocks */
    fet__nas_table tables[2];
    int repeats;
    uint64_t seed;
    double *seconds;
} profiler;

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Median of the fastest quarter: what interrupts a run only makes it longer. Sorts. */
static double steady(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, by_value);
    return v[n / 8];
}

static fet_status run_program(void *user)
{
    return fet__program_run(user);
}

static fet_status run_step(void *user)
{
    return fet__step_compute(user);
}

static fet_status measure(profiler *p, fet_status (*run)(void *), void *user, double *ms)
{
    fet_status st = FET_OK;

    for (int i = -WARMUP; i < p->repeats; i++) {
        double begun = fet__now();

        FET_TRY(run(user));
        if (i >= 0)
            p->seconds[i] = fet__now() - begun;
    }
    *ms = fmax(1e3 * steady(p->seconds, p->repeats), LEAST_MS);
done:
    return st;
}

static void fill(const profiler *p, float *x, int64_t values)
{
    for (int64_t i = 0; i < values; i++)
        x[i] = (float)fet__random_normal(p->seed, fet__hash32("nas.profile"), 0, (uint64_t)i);
}

/* One block alone, on one image. */
static fet_status measure_block(profiler *p, int space, int stage, int j)
{
    const fet__quadranet *q = p->frames[space].config;
    fet__quadra_block o = {.kernel = fet__nas_kernel(j), .expand = fet__nas_expansion(j), .scale = q->scale};
    fet__build b = {.may_initialise = true, .seed = p->seed, .dtype = FET_F32};
    fet__program_options options = {.memory = fet__budget(0)};
    fet__program *program = NULL;
    int channels;
    fet__node *x;
    fet_status st;

    o.mixer = q->mixer;
    fet__nas_stage(&p->frames[space], stage, o.grid, &channels);
    FET_TRY(fet__params_create(&b.store));
    FET_TRY(fet__graph_create(&b.g));
    x = fet__input(b.g, "x", FET_F32, FET_SHAPE(1, (int64_t)o.grid[0] * o.grid[1], channels));
    fet__output(b.g, "y", fet__nn_quadra_block(&b, x, &o));
    FET_TRY(fet__graph_status(b.g));
    FET_TRY(fet__program_create(&program, b.g, &options));
    fill(p, fet__program_input(program, "x"), (int64_t)o.grid[0] * o.grid[1] * channels);
    st = measure(p, run_program, program, &p->tables[space].block[stage][j]);
done:
    fet__program_destroy(program);
    fet__graph_destroy(b.g);
    fet__params_destroy(b.store);
    return st;
}

/* The whole network of that text. */
static fet_status measure_text(profiler *p, const char *arch, double *ms)
{
    fet_model_options model = {.arch = arch};
    fet__step_options options = {.batch = 1, .memory = fet__budget(0), .seed = p->seed};
    fet__model *m = NULL;
    fet__step step = {0};
    fet_status st;

    FET_TRY(fet__model_open_with(&m, "none", &model, p->seed));
    FET_TRY(fet__step_create(&step, m, &options));
    fill(p, step.images, (int64_t)m->input.height * m->input.width * 3);
    if (step.labels)
        step.labels[0] = 0;
    st = measure(p, run_step, &step, ms);
done:
    fet__step_fini(&step);
    fet__model_close(m);
    return st;
}

/* The whole network that the frame describes now. */
static fet_status measure_network(profiler *p, const fet__arch *frame, double *ms)
{
    fet__text text = {0};
    fet_status st;

    frame->class_->print(frame, &text);
    st = text.failed ? FET_E_NOMEM : measure_text(p, text.s, ms);
    fet__text_fini(&text);
    return st;
}

fet_status fet__nas_measure(const char *arch, int repeats, uint64_t seed, double *ms)
{
    profiler p = {.repeats = repeats, .seed = seed};
    fet_status st;

    FET_TRY(FET_NEW(p.seconds, repeats));
    st = measure_text(&p, arch, ms);
done:
    fet__free(p.seconds);
    return st;
}

/* What a network of the least depth takes beyond its blocks. */
static fet_status measure_fixed(profiler *p, int space)
{
    fet__quadranet *q = p->frames[space].config, kept = *q;
    fet__nas_table *t = &p->tables[space];
    double whole = 0;
    fet_status st;

    for (int i = 0; i < QUADRANET_STAGES; i++)
        q->depths[i] = 1;
    q->kernel = 3;
    q->expand = 2;
    st = measure_network(p, &p->frames[space], &whole);
    t->fixed = 0;
    t->fixed = fmax(whole - fet__nas_predict(t, q), LEAST_MS);
    *q = kept;
    return st;
}

/* A network of the space: a candidate at each position of the frame, of which the identity leaves the block out, but for one a stage. */
static void draw_network(const profiler *p, fet__quadranet *q, int number)
{
    uint32_t stream = fet__hash32("nas.check"), at = 0;

    q->own_count = 0;
    for (int stage = 0; stage < QUADRANET_STAGES; stage++) {
        int depth = 0, last = q->depths[stage];

        for (int i = 0; i < last; i++) {
            int j = (int)(fet__random_u32(p->seed, stream, (uint32_t)number, at++) % FET__NAS_SPACE);

            if (j == FET__NAS_IDENTITY && (depth > 0 || i + 1 < last))
                continue;
            j %= FET__NAS_IDENTITY;
            q->own_kernel[q->own_count] = (unsigned char)fet__nas_kernel(j);
            q->own_expand[q->own_count++] = (unsigned char)fet__nas_expansion(j);
            depth++;
        }
        q->depths[stage] = depth;
    }
}

/* ---- calibration --------------------------------------------------------------------------------------------------- */

#define CALIBRATED 16 /* networks */
#define UNKNOWN 3     /* what is no block; factors of blocks of the smaller and of the larger expansion */

/* Solves the normal equations in place; false where they do not say enough. */
static bool solve(double a[UNKNOWN][UNKNOWN + 1])
{
    for (int i = 0; i < UNKNOWN; i++) {
        int pivot = i;

        for (int r = i + 1; r < UNKNOWN; r++)
            pivot = fabs(a[r][i]) > fabs(a[pivot][i]) ? r : pivot;
        if (!(fabs(a[pivot][i]) > 1e-9))
            return false;
        for (int k = 0; k <= UNKNOWN; k++) {
            double kept = a[i][k];

            a[i][k] = a[pivot][k];
            a[pivot][k] = kept;
        }
        for (int r = 0; r < UNKNOWN; r++) {
            double f = a[r][i] / a[i][i];

            for (int k = i; r != i && k <= UNKNOWN; k++)
                a[r][k] -= f * a[i][k];
        }
    }
    return true;
}

/* What a network's blocks of each expansion take by the table. */
static void sums_of(const fet__nas_table *t, const fet__quadranet *q, double sum[UNKNOWN])
{
    int n = 0;

    sum[0] = t->fixed;
    sum[1] = sum[2] = 0;
    for (int stage = 0; stage < QUADRANET_STAGES; stage++)
        for (int i = 0; i < q->depths[stage]; i++, n++)
            for (int j = 0; j < FET__NAS_IDENTITY; j++)
                if (fet__nas_kernel(j) == q->own_kernel[n] && fet__nas_expansion(j) == q->own_expand[n])
                    sum[1 + j % 2] += t->block[stage][j];
}

/* Alone, a block's weights lie in nearer caches than in a network, and its threads wait in other ways. Three factors, fitted to the relative
 * errors of a few networks, bring the sum to what networks take. */
static fet_status calibrate(profiler *p, int space)
{
    fet__quadranet *q = p->frames[space].config, kept = *q;
    fet__nas_table *t = &p->tables[space];
    double a[UNKNOWN][UNKNOWN + 1] = {{0}}, factor[UNKNOWN] = {1, 1, 1};
    bool solved;
    fet_status st = FET_OK;

    for (int n = 0; n < CALIBRATED && st == FET_OK; n++) {
        double measured = 0, sum[UNKNOWN];

        draw_network(p, q, MOST_CHECKS + n);
        sums_of(t, q, sum);
        st = measure_network(p, &p->frames[space], &measured);
        *q = kept;
        for (int i = 0; i < UNKNOWN; i++) {
            for (int k = 0; k < UNKNOWN; k++)
                a[i][k] += sum[i] * sum[k] / (measured * measured);
            a[i][UNKNOWN] += sum[i] / measured;
        }
    }
    /* A little towards factors of 1, so that what the networks do not tell apart stays as it was measured. */
    for (int i = 0; i < UNKNOWN; i++) {
        a[i][i] += 0.01;
        a[i][UNKNOWN] += 0.01;
    }
    solved = st == FET_OK && solve(a);
    for (int i = 0; solved && i < UNKNOWN; i++)
        factor[i] = fmin(fmax(a[i][UNKNOWN] / a[i][i], 0.25), 4);
    t->fixed = fmax(t->fixed * factor[0], LEAST_MS);
    for (int stage = 0; stage < QUADRANET_STAGES; stage++)
        for (int j = 0; j < FET__NAS_IDENTITY; j++)
            t->block[stage][j] *= factor[1 + j % 2];
    return st;
}

static fet_status check(profiler *p, int networks, fet_nas_profile_report *r)
{
    fet_status st = FET_OK;

    for (int i = 0; i < networks; i++) {
        fet__quadranet *q = p->frames[i % 2].config, kept = *q;
        double measured = 0, error;

        draw_network(p, q, i);
        st = measure_network(p, &p->frames[i % 2], &measured);
        error = fabs(fet__nas_predict(&p->tables[i % 2], q) / measured - 1);
        *q = kept;
        if (st != FET_OK)
            return st;
        r->mean_error += error / networks;
        r->worst_error = fmax(r->worst_error, error);
        r->checked++;
    }
    return FET_OK;
}

/* The frame with quadratic and with plain blocks, whichever of them it names. */
static fet_status open_frames(profiler *p, const char *text)
{
    int positions = 0;
    fet_status st;

    for (int space = 0; space < 2; space++) {
        FET_TRY(fet__nas_frame(&p->frames[space], text));
        ((fet__quadranet *)p->frames[space].config)->mixer = space ? FET__MIX_CONV : FET__MIX_QUADRATIC;
    }
    for (int i = 0; i < QUADRANET_STAGES; i++)
        positions += ((const fet__quadranet *)p->frames[0].config)->depths[i];
    if (positions > QUADRANET_BLOCKS)
        st = FET_FAIL(FET_E_ARG, "a frame of %d blocks: %d at most", positions, QUADRANET_BLOCKS);
done:
    return st;
}

static fet_status take_options(profiler *p, const fet_nas_profile_options *o, const char *out)
{
    p->repeats = o->repeats ? o->repeats : 100;
    p->seed = o->seed;
    if (p->repeats < 1 || p->repeats > MOST_REPEATS || o->check > MOST_CHECKS)
        return FET_FAIL(FET_E_ARG, "%d repeats or %d networks to check are out of range", p->repeats, o->check);
    if (fet__file_exists(out))
        return FET_FAIL(FET_E_ARG, "%s exists: give another --out", fet__show(out));
    return FET_OK;
}

fet_status fet_nas_profile(const fet_nas_profile_options *o, const char *out, fet_nas_profile_report *report)
{
    profiler p = {0};
    fet_status st;

    if (!o || !out || !report)
        return FET_FAIL(FET_E_ARG, "fet_nas_profile: options, path or report is absent");
    memset(report, 0, sizeof *report);
    FET_TRY(take_options(&p, o, out));
    FET_TRY(open_frames(&p, o->frame));
    FET_TRY(FET_NEW(p.seconds, p.repeats));
    for (int space = 0; space < 2; space++) {
        for (int stage = 0; stage < QUADRANET_STAGES; stage++)
            for (int j = 0; j < FET__NAS_IDENTITY; j++, report->entries++)
                FET_TRY(measure_block(&p, space, stage, j));
        FET_TRY(measure_fixed(&p, space));
        FET_TRY(calibrate(&p, space));
    }
    report->fixed_ms = p.tables[0].fixed;
    if (o->check >= 0)
        FET_TRY(check(&p, o->check ? o->check : 10, report));
    st = fet__nas_table_write(p.tables, p.frames, out, report);
done:
    fet__free(p.seconds);
    fet__arch_fini(&p.frames[0]);
    fet__arch_fini(&p.frames[1]);
    return st;
}
