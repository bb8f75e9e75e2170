/* What every kind of golden file needs: metadata, expected tensors as numbers, tolerances, and the comparison
 * that keeps the worst error. Which tensors a kind computes is in kind_*.c. */
#include "parity/parity.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

double parity_number(const parity_case *c, const char *key, double fallback)
{
    const char *text = c->t ? fet__tensors_meta(c->t, key) : NULL;
    double value;

    return text && fet__parse_double(text, &value) ? value : fallback;
}

const char *parity_text(const parity_case *c, const char *key, const char *fallback)
{
    const char *text = c->t ? fet__tensors_meta(c->t, key) : NULL;

    return text ? text : fallback;
}

fet_status parity_doubles(const parity_case *c, const char *name, double **out, int64_t *count)
{
    const fet__entry *e = fet__tensors_find(c->t, name);
    fet_status st;
    int64_t n;

    *out = NULL;
    if (!e)
        return FET_FAIL(FET_E_FORMAT, "tensor %s is absent", fet__show(name));
    n = fet__shape_count(&e->shape);
    if (count)
        *count = n;
    FET_TRY(FET_NEW(*out, n));
    fet__convert(*out, FET_F64, e->data, e->dtype, n); /* the data may lie at any byte */
done:
    return st;
}

/* ---- tolerances ------------------------------------------------------------------------------------------ */

typedef struct limit {
    parity_mode mode;
    double value, share; /* share: of |expected|, with MIXED */
} limit;

/* "abs", "max", "rel", "abs+1e-4*|ref|". */
static bool parse_mode(const char *text, limit *l)
{
    int end = 0;

    if (strcmp(text, "abs") == 0)
        l->mode = PARITY_ABS;
    else if (strcmp(text, "max") == 0)
        l->mode = PARITY_MAX;
    else if (strcmp(text, "rel") == 0)
        l->mode = PARITY_REL;
    else if (sscanf(text, "abs+%lf*|ref|%n", &l->share, &end) == 1 && end > 0 && text[end] == '\0')
        l->mode = PARITY_MIXED;
    else
        return false;
    return true;
}

/* Length of the match, or -1. "loss." also stands for the tensor "loss". */
static int match_prefix(const char *prefix, const char *name)
{
    size_t length = strlen(prefix), own = strlen(name);

    if (strncmp(prefix, name, length) == 0)
        return (int)length;
    return length == own + 1 && prefix[own] == '.' && strncmp(prefix, name, own) == 0 ? (int)own : -1;
}

static void limit_from(const json_t *table, const char *name, limit *out)
{
    const char *prefix;
    json_t *row;
    int longest = -1;

    json_object_foreach((json_t *)table, prefix, row)
    {
        limit l = {.value = json_number_value(json_array_get(row, 1))};
        const char *mode = json_string_value(json_array_get(row, 0));
        int length = match_prefix(prefix, name);
        if (length <= longest || !mode || !parse_mode(mode, &l))
            continue;
        longest = length;
        *out = l;
    }
}

static limit limit_of(const parity_case *c, const char *name, parity_mode mode, double value)
{
    limit l = {mode, value, 1e-4};
    const char *text = c->t ? fet__tensors_meta(c->t, "tol") : NULL;
    json_t *table = text ? json_loads(text, 0, NULL) : NULL;

    if (table)
        limit_from(table, name, &l);
    json_decref(table);
    return l;
}

void parity_tolerance(const parity_case *c, const char *name, parity_mode *mode, double *value)
{
    limit l = limit_of(c, name, *mode, *value);

    *mode = l.mode;
    *value = l.value;
}

/* ---- comparison ------------------------------------------------------------------------------------------ */

static int index_of(const parity_case *c, const char *name)
{
    for (int i = 0; c->t && i < fet__tensors_count(c->t); i++)
        if (strcmp(fet__tensors_at(c->t, i)->name, name) == 0)
            return i;
    return -1;
}

void parity_note(parity_case *c, const char *name, double error, double tolerance)
{
    double ratio = error == 0 ? 0 : (tolerance > 0 ? error / tolerance : INFINITY);
    int index = index_of(c, name);

    if (isnan(ratio))
        ratio = INFINITY;
    if (c->seen && index >= 0)
        c->seen[index] = true;
    if (c->compared++ > 0 && ratio <= c->worst)
        return;
    c->worst = ratio;
    c->worst_error = error;
    c->worst_tolerance = tolerance;
    snprintf(c->worst_name, sizeof c->worst_name, "%s", name);
}

static double largest(const double *v, int64_t n)
{
    double most = 0;

    for (int64_t i = 0; i < n; i++)
        if (isfinite(v[i]) && fabs(v[i]) > most)
            most = fabs(v[i]);
    return most;
}

/* What an error at an entry of this size is measured by, and allowed to be. */
static void measure(const limit *l, double expected, double most, double *unit, double *allowed)
{
    *unit = 1;
    *allowed = l->value;
    if (l->mode == PARITY_MAX && most > 0)
        *unit = most;
    else if (l->mode == PARITY_REL && expected != 0)
        *unit = fabs(expected);
    else if (l->mode == PARITY_MIXED)
        *allowed += l->share * fabs(expected);
}

/* Values that are not finite must be the same: NaN for NaN, infinity for that infinity. */
static double distance(double a, double b)
{
    if (a == b || (isnan(a) && isnan(b)))
        return 0;
    return isfinite(a) && isfinite(b) ? fabs(a - b) : INFINITY;
}

static void compare_values(parity_case *c, const char *name, const double *actual, const double *expected, int64_t n,
                           const limit *l)
{
    double most = largest(expected, n), unit, allowed, worst = -1, worst_error = 0, worst_allowed = l->value;

    for (int64_t i = 0; i < n; i++) {
        measure(l, expected[i], most, &unit, &allowed);
        double error = distance(actual[i], expected[i]) / unit;
        double ratio = error == 0 ? 0 : error / allowed;
        if (ratio > worst) {
            worst = ratio;
            worst_error = error;
            worst_allowed = allowed;
        }
    }
    parity_note(c, name, worst_error, worst_allowed);
}

/* The first result of a name stays: kinds compute the graph's own before those of steps. */
static void record_values(parity_case *c, const char *name, double **values)
{
    int index = index_of(c, name);

    if (c->record[index])
        return;
    c->record[index] = *values;
    *values = NULL;
}

fet_status parity_compare(parity_case *c, const char *name, const void *actual, fet_dtype type, int64_t count,
                          parity_mode mode, double tolerance)
{
    limit l = limit_of(c, name, mode, tolerance);
    double *expected = NULL, *values = NULL;
    int64_t n;
    fet_status st;

    FET_TRY(parity_doubles(c, name, &expected, &n));
    if (n != count) {
        st = FET_FAIL(FET_E_VERIFY, "%s has %lld values, computed were %lld", fet__show(name), (long long)n,
                      (long long)count);
        goto done;
    }
    FET_TRY(FET_NEW(values, n));
    fet__convert(values, FET_F64, actual, type, n);
    if (c->record) {
        record_values(c, name, &values);
        goto done;
    }
    compare_values(c, name, values, expected, n, &l);
done:
    fet__free(expected);
    fet__free(values);
    return st;
}

fet_status parity_compare_one(parity_case *c, const char *name, double actual, parity_mode mode, double tolerance)
{
    return parity_compare(c, name, &actual, FET_F64, 1, mode, tolerance);
}
