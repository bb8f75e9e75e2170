/* Softmax, cross-entropy and their gradients, a row at a time. Exponentials are taken of differences to the row's maximum; sums
 * go to double every SPAN_PIECE elements. A NaN may escape the maximum, but not the sum. */
#include <string.h>

#include "kernel/ref/ref_int.h"
#include "kernel/x86/span.h"
#include "kernel/x86/vmath.h"
#include "kernel/x86/x86.h"

/* Sum of e^(x - most); y (where given) receives the terms. */
static double sum_exp(float *y, const float *x, int64_t cols, float most)
{
    double sum = 0;

    for (int64_t piece = 0; piece < cols; piece += SPAN_PIECE) {
        int64_t end = smaller(piece + SPAN_PIECE, cols);
        vf s = v_zero();

        for (int64_t i = piece; i < end; i += VL) {
            vf e = v_exp(v_sub(v_load_upto(x + i, end - i), v_set(most)));

            s = v_add(s, v_upto(e, end - i, 0.0f));
            if (y)
                v_store_upto(y + i, e, end - i);
        }
        sum += v_sum(s);
    }
    return sum;
}

static void softmax_row(float *y, const float *x, int64_t cols)
{
    double sum = sum_exp(y, x, cols, span_top(x, cols));
    vf scale = v_set((float)(1.0 / sum));

    for (int64_t i = 0; i < cols; i += VL)
        v_store_upto(y + i, v_mul(v_load_upto(y + i, cols - i), scale), cols - i);
}

static double dot(const float *a, const float *b, int64_t cols)
{
    double sum = 0;

    for (int64_t piece = 0; piece < cols; piece += SPAN_PIECE) {
        int64_t end = smaller(piece + SPAN_PIECE, cols);
        vf s = v_zero();

        for (int64_t i = piece; i < end; i += VL)
            s = v_fma(v_load_upto(a + i, end - i), v_load_upto(b + i, end - i), s);
        sum += v_sum(s);
    }
    return sum;
}

static void softmax_grad_row(float *dx, const float *y, const float *dy, int64_t cols)
{
    vf mean = v_set((float)dot(y, dy, cols));

    for (int64_t i = 0; i < cols; i += VL) {
        int64_t left = cols - i;

        v_store_upto(dx + i, v_mul(v_load_upto(y + i, left), v_sub(v_load_upto(dy + i, left), mean)), left);
    }
}

fet_status FET__ISA(softmax)(const fet__prepared *k, const fet__call *c)
{
    const fet__problem *p = &k->problem;
    int64_t rows = fet__row_count(&p->output.shape), cols = fet__cols(&p->output.shape);
    const float *x = c->input[0];
    float *y = c->output;
    int team = fet__x86_team(p, rows * cols);

    (void)team;
#pragma omp parallel for schedule(static) num_threads(team)
    for (int64_t r = 0; r < rows; r++)
        softmax_row(y + r * cols, x + r * cols, cols);
    return FET_OK;
}

fet_status FET__ISA(softmax_grad)(const fet__prepared *k, const fet__call *c)
{
    const fet__problem *p = &k->problem;
    int64_t rows = fet__row_count(&p->output.shape), cols = fet__cols(&p->output.shape);
    const float *y = c->input[0], *dy = c->input[1];
    float *dx = c->output;
    int team = fet__x86_team(p, rows * cols / 2);

    (void)team;
#pragma omp parallel for schedule(static) num_threads(team)
    for (int64_t r = 0; r < rows; r++)
        softmax_grad_row(dx + r * cols, y + r * cols, dy + r * cols, cols);
    return FET_OK;
}

/* Sum of x - most in double: with smoothing every class counts. */
static double sum_below(const float *x, int64_t cols, float most)
{
    double sum = 0;

    for (int64_t piece = 0; piece < cols; piece += SPAN_PIECE) {
        int64_t end = smaller(piece + SPAN_PIECE, cols);
        vf s = v_zero();

        for (int64_t i = piece; i < end; i += VL)
            s = v_add(s, v_upto(v_sub(v_load_upto(x + i, end - i), v_set(most)), end - i, 0.0f));
        sum += v_sum(s);
    }
    return sum;
}

static float entropy_row(const float *z, int32_t label, int64_t cols, double smoothing)
{
    float most;
    double sum, below = 0;

    if (label < 0)
        return 0.0f;
    most = span_top(z, cols);
    sum = sum_exp(NULL, z, cols, most);
    if (smoothing != 0)
        below = smoothing / (double)cols * sum_below(z, cols, most);
    return (float)(log(sum) - (1.0 - smoothing) * ((double)z[label] - most) - below);
}

static void entropy_grad_row(float *dz, const float *z, int32_t label, float dy, int64_t cols, double smoothing)
{
    float most = label < 0 ? 0 : span_top(z, cols), at_label;
    vf scale, even;
    double sum;

    if (label < 0) {
        memset(dz, 0, (size_t)cols * sizeof *dz);
        return;
    }
    sum = sum_exp(NULL, z, cols, most);
    scale = v_set((float)(1.0 / sum));
    even = v_set((float)(smoothing / (double)cols));
    at_label = (float)(dy * (exp((double)z[label] - most) / sum - smoothing / (double)cols - (1.0 - smoothing)));
    for (int64_t i = 0; i < cols; i += VL) {
        vf e = v_exp(v_sub(v_load_upto(z + i, cols - i), v_set(most)));

        v_store_upto(dz + i, v_mul(v_set(dy), v_fms(e, scale, even)), cols - i);
    }
    dz[label] = at_label;
}

static fet_status check_labels(const fet__problem *p, const int32_t *label)
{
    return fet__ref_check_range(fet__op_rows[p->op].name, "label", label, fet__row_count(&p->input[0].shape), -1,
                                fet__cols(&p->input[0].shape));
}

fet_status FET__ISA(cross_entropy)(const fet__prepared *k, const fet__call *c)
{
    const fet__problem *p = &k->problem;
    int64_t rows = fet__row_count(&p->input[0].shape), cols = fet__cols(&p->input[0].shape);
    const float *z = c->input[0];
    const int32_t *label = c->input[1];
    float *loss = c->output;
    double smoothing = p->attr.cross_entropy.smoothing;
    int team = fet__x86_team(p, rows * cols);
    fet_status st = check_labels(p, label);

    (void)team;
    if (st != FET_OK)
        return st;
#pragma omp parallel for schedule(static) num_threads(team)
    for (int64_t r = 0; r < rows; r++)
        loss[r] = entropy_row(z + r * cols, label[r], cols, smoothing);
    return FET_OK;
}

fet_status FET__ISA(cross_entropy_grad)(const fet__prepared *k, const fet__call *c)
{
    const fet__problem *p = &k->problem;
    int64_t rows = fet__row_count(&p->input[0].shape), cols = fet__cols(&p->input[0].shape);
    const float *z = c->input[0], *dy = c->input[2];
    const int32_t *label = c->input[1];
    float *dz = c->output;
    double smoothing = p->attr.cross_entropy.smoothing;
    int team = fet__x86_team(p, rows * cols);
    fet_status st = check_labels(p, label);

    (void)team;
    if (st != FET_OK)
        return st;
#pragma omp parallel for schedule(static) num_threads(team)
    for (int64_t r = 0; r < rows; r++)
        entropy_grad_row(dz + r * cols, z + r * cols, label[r], dy[r], cols, smoothing);
    return FET_OK;
}
