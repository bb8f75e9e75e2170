/* Layer norm and its two gradients, a row at a time; a row stays in the first-level cache between its passes. The mean is kept as
 * a float and the rest that the float lost, so that rows far from zero keep their digits:
 *     x^ = ((x - m) - d) r,   m = float(mean),  d = mean - m,  r = 1 / sqrt(var + eps)
 * dgamma sums over rows: fixed blocks of rows, float over FLUSH rows, double above, blocks in order (norm.h gives the sizes). */
#include "kernel/x86/norm.h"
#include "kernel/x86/span.h"

typedef struct row_stats {
    vf mean, rest, scale;
} row_stats;

/* Sums of x - mean and its square. */
static void centred_sums(const float *x, int64_t cols, vf mean, double *sum, double *squares)
{
    *sum = *squares = 0;
    for (int64_t piece = 0; piece < cols; piece += SPAN_PIECE) {
        int64_t i = piece, end = smaller(piece + SPAN_PIECE, cols);
        vf s0 = v_zero(), s1 = v_zero(), q0 = v_zero(), q1 = v_zero();

        for (; i + 2 * VL <= end; i += 2 * VL) {
            vf d0 = v_sub(v_load(x + i), mean), d1 = v_sub(v_load(x + i + VL), mean);

            s0 = v_add(s0, d0);
            s1 = v_add(s1, d1);
            q0 = v_fma(d0, d0, q0);
            q1 = v_fma(d1, d1, q1);
        }
        for (; i < end; i += VL) {
            vf d = v_upto(v_sub(v_load_upto(x + i, end - i), mean), end - i, 0.0f);

            s0 = v_add(s0, d);
            q0 = v_fma(d, d, q0);
        }
        *sum += v_sum(v_add(s0, s1));
        *squares += v_sum(v_add(q0, q1));
    }
}

static row_stats measure(const float *x, int64_t cols, double eps)
{
    float mean = (float)(span_sum(x, cols) / (double)cols);
    double sum, squares, rest, variance, scale;

    centred_sums(x, cols, v_set(mean), &sum, &squares);
    rest = sum / (double)cols;
    variance = squares / (double)cols - rest * rest;
    scale = 1.0 / sqrt((variance < 0 ? 0 : variance) + eps);
    return (row_stats){v_set(mean), v_set((float)rest), v_set((float)scale)};
}

INLINE vf normalise(const row_stats *s, vf x)
{
    return v_mul(v_sub(v_sub(x, s->mean), s->rest), s->scale);
}

static void norm_row(float *y, const float *x, const float *gamma, const float *beta, int64_t cols, double eps)
{
    row_stats s = measure(x, cols, eps);

    for (int64_t i = 0; i < cols; i += VL) {
        int64_t left = cols - i;
        vf xn = normalise(&s, v_load_upto(x + i, left));

        v_store_upto(y + i, v_fma(xn, v_load_upto(gamma + i, left), v_load_upto(beta + i, left)), left);
    }
}

/* Sums of dy g and of dy g x^. */
static void gradient_sums(const row_stats *s, const float *x, const float *gamma, const float *dy, int64_t cols,
                          double *plain, double *along)
{
    *plain = *along = 0;
    for (int64_t piece = 0; piece < cols; piece += SPAN_PIECE) {
        int64_t end = smaller(piece + SPAN_PIECE, cols);
        vf p = v_zero(), a = v_zero();

        for (int64_t i = piece; i < end; i += VL) {
            int64_t left = end - i;
            vf d = v_mul(v_load_upto(dy + i, left), v_load_upto(gamma + i, left));

            p = v_add(p, d);
            a = v_fma(d, v_upto(normalise(s, v_load_upto(x + i, left)), left, 0.0f), a);
        }
        *plain += v_sum(p);
        *along += v_sum(a);
    }
}

/* dx = r (dy g - mean(dy g) - x^ mean(dy g x^)) */
static void norm_dx_row(float *dx, const float *x, const float *gamma, const float *dy, int64_t cols, double eps)
{
    row_stats s = measure(x, cols, eps);
    double plain, along;
    vf mean_plain, mean_along;

    gradient_sums(&s, x, gamma, dy, cols, &plain, &along);
    mean_plain = v_set((float)(plain / (double)cols));
    mean_along = v_set((float)(along / (double)cols));
    for (int64_t i = 0; i < cols; i += VL) {
        int64_t left = cols - i;
        vf xn = normalise(&s, v_load_upto(x + i, left));
        vf d = v_fms(v_load_upto(dy + i, left), v_load_upto(gamma + i, left), mean_plain);

        v_store_upto(dx + i, v_mul(s.scale, v_fnma(xn, mean_along, d)), left);
    }
}

fet_status FET__ISA(layer_norm)(const fet__prepared *k, const fet__call *c)
{
    const fet__problem *p = &k->problem;
    int64_t rows = fet__row_count(&p->output.shape), cols = fet__cols(&p->output.shape);
    const float *x = c->input[0], *gamma = c->input[1], *beta = c->input[2];
    float *y = c->output;
    double eps = p->attr.norm.eps;
    int team = fet__x86_team(p, rows * cols / 2);

    (void)team;
#pragma omp parallel for schedule(static) num_threads(team)
    for (int64_t r = 0; r < rows; r++)
        norm_row(y + r * cols, x + r * cols, gamma, beta, cols, eps);
    return FET_OK;
}

fet_status FET__ISA(layer_norm_dx)(const fet__prepared *k, const fet__call *c)
{
    const fet__problem *p = &k->problem;
    int64_t rows = fet__row_count(&p->output.shape), cols = fet__cols(&p->output.shape);
    const float *x = c->input[0], *gamma = c->input[1], *dy = c->input[2];
    float *dx = c->output;
    double eps = p->attr.norm.eps;
    int team = fet__x86_team(p, rows * cols / 2);

    (void)team;
#pragma omp parallel for schedule(static) num_threads(team)
    for (int64_t r = 0; r < rows; r++)
        norm_dx_row(dx + r * cols, x + r * cols, gamma, dy + r * cols, cols, eps);
    return FET_OK;
}

static void add_row(float *sum, const float *x, const float *dy, int64_t cols, double eps)
{
    row_stats s = measure(x, cols, eps);

    for (int64_t i = 0; i < cols; i += VL) {
        int64_t left = cols - i;
        vf xn = normalise(&s, v_load_upto(x + i, left));

        v_store(sum + i, v_fma(v_load_upto(dy + i, left), v_upto(xn, left, 0.0f), v_load(sum + i)));
    }
}

static void block_dgamma(const fet__norm_blocks *b, float *sum, double *total, const float *x, const float *dy,
                         int64_t rows, int64_t cols, double eps)
{
    for (int64_t i = 0; i < b->width; i++) {
        sum[i] = 0;
        total[i] = 0;
    }
    for (int64_t r = 0; r < rows; r++) {
        add_row(sum, x + r * cols, dy + r * cols, cols, eps);
        if ((r + 1) % FET__NORM_FLUSH != 0 && r + 1 < rows)
            continue;
        for (int64_t i = 0; i < b->width; i++) {
            total[i] += sum[i];
            sum[i] = 0;
        }
    }
}

fet_status FET__ISA(layer_norm_dgamma)(const fet__prepared *k, const fet__call *c)
{
    const fet__problem *p = &k->problem;
    int64_t rows = fet__row_count(&p->input[0].shape), cols = fet__cols(&p->input[0].shape);
    const fet__norm_blocks b = fet__norm_split(p);
    const float *x = c->input[0], *dy = c->input[1];
    float *out = c->output, *sums = c->scratch;
    double *totals = (double *)(void *)(sums + b.threads * b.width), eps = p->attr.norm.eps;
    int team = fet__x86_team(p, rows * cols / 2);

    (void)team;
#pragma omp parallel num_threads(team)
    {
#pragma omp for schedule(static)
        for (int64_t i = 0; i < b.count; i++)
            block_dgamma(&b, sums + fet__thread_index() * b.width, totals + i * b.width, x + i * b.rows * cols,
                         dy + i * b.rows * cols, smaller(b.rows, rows - i * b.rows), cols, eps);
#pragma omp for schedule(static)
        for (int64_t j = 0; j < cols; j++) {
            double y = 0;

            for (int64_t i = 0; i < b.count; i++)
                y += totals[i * b.width + j];
            out[j] = (float)y;
        }
    }
    return FET_OK;
}
