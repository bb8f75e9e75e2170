/* The table of measured blocks: what it holds for a frame, as a JSON file, and what it predicts. */
#include "method/nas_int.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT 1

fet_status fet__nas_frame(fet__arch *out, const char *text)
{
    const fet__quadranet *q;
    fet_status st = fet__arch_create(out, text ? text : "quadranet36_xxs");

    if (st != FET_OK)
        return st;
    if (strcmp(out->class_->family, "quadranet") != 0)
        return FET_FAIL(FET_E_ARG, "a search goes over quadratic networks and their frame, not over '%s'",
                        fet__show(text));
    q = out->config;
    if (q->own_count || q->quadratic_channels || (q->mixer != FET__MIX_QUADRATIC && q->mixer != FET__MIX_CONV))
        return FET_FAIL(FET_E_ARG, "the frame of a search has no blocks=, plain channel layers, and mixer=quadratic or "
                                   "mixer=conv");
    return FET_OK;
}

void fet__nas_stage(const fet__arch *frame, int stage, int grid[2], int *channels)
{
    const fet__quadranet *q = frame->config;

    for (int i = 0; i < 2; i++)
        grid[i] = q->image[i] / q->patch >> stage;
    *channels = q->dim << stage;
}

static int candidate_of(int kernel, int expand)
{
    for (int j = 0; j < FET__NAS_IDENTITY; j++)
        if (fet__nas_kernel(j) == kernel && fet__nas_expansion(j) == expand)
            return j;
    return -1;
}

double fet__nas_predict(const fet__nas_table *t, const fet__quadranet *q)
{
    double sum = t->fixed;
    int n = 0;

    for (int stage = 0; stage < QUADRANET_STAGES; stage++)
        for (int i = 0; i < q->depths[stage]; i++, n++) {
            int j =
                candidate_of(q->own_count ? q->own_kernel[n] : q->kernel, q->own_count ? q->own_expand[n] : q->expand);

            sum += j < 0 ? NAN : t->block[stage][j];
        }
    return sum;
}

/* "quadratic 56x56x16 k3e2" */
static void key_of(const fet__arch *frame, int stage, int j, char out[64])
{
    const fet__quadranet *q = frame->config;
    int grid[2], channels;

    fet__nas_stage(frame, stage, grid, &channels);
    snprintf(out, 64, "%s %dx%dx%d k%de%d", q->mixer == FET__MIX_CONV ? "conv" : "quadratic", grid[0], grid[1],
             channels, fet__nas_kernel(j), fet__nas_expansion(j));
}

/* "frame" holds what the fixed part belongs to: the frame at its least depth. */
static char *fixed_key(const fet__arch *frame)
{
    fet__quadranet *q = frame->config, kept = *q;
    fet__text t = {0};
    char *s;

    for (int i = 0; i < QUADRANET_STAGES; i++)
        q->depths[i] = 1;
    q->kernel = 3;
    q->expand = 2;
    frame->class_->print(frame, &t);
    *q = kept;
    s = t.failed ? NULL : fet__strdup(t.s ? t.s : "");
    fet__text_fini(&t);
    return s;
}

/* The processor as the system names it. */
static void processor(char out[128])
{
    FILE *f = fopen("/proc/cpuinfo", "r");
    char line[256];

    snprintf(out, 128, "unknown");
    while (f && fgets(line, sizeof line, f)) {
        const char *colon = strchr(line, ':');

        if (strncmp(line, "model name", 10) != 0 || !colon)
            continue;
        snprintf(out, 128, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
        break;
    }
    if (f)
        fclose(f);
}

static json_t *described(const fet__nas_table *t, const fet__arch *frame, const char *fixed)
{
    json_t *entries = json_object();
    char name[128], key[64];

    processor(name);
    for (int stage = 0; stage < QUADRANET_STAGES; stage++)
        for (int j = 0; j < FET__NAS_IDENTITY; j++) {
            key_of(frame, stage, j, key);
            json_object_set_new(entries, key, json_real(t->block[stage][j]));
        }
    return json_pack("{s:i, s:s, s:s, s:i, s:s, s:s, s:{s:f}, s:o}", "fettle_profile", FORMAT, "device", name, "isa",
                     fet__cpu_text(), "threads", fet__threads(), "fettle", fet_version(), "unit", "ms", "fixed", fixed,
                     t->fixed, "blocks", entries);
}

fet_status fet__nas_table_write(const fet__nas_table *t, const fet__arch *frame, const char *path,
                                const fet_nas_profile_report *report)
{
    char *fixed = fixed_key(frame), *text = NULL;
    json_t *j = fixed ? described(t, frame, fixed) : NULL;
    fet__outfile *f = NULL;
    fet_status st = FET_OK;

    if (j && report->checked)
        json_object_set_new(j, "check",
                            json_pack("{s:i, s:f, s:f}", "networks", report->checked, "mean_error", report->mean_error,
                                      "worst_error", report->worst_error));
    text = j ? json_dumps(j, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) : NULL;
    if (!text)
        st = FET_FAIL(FET_E_NOMEM, "no memory for a profile");
    FET_TRY(st);
    FET_TRY(fet__outfile_open(&f, path));
    fet__outfile_printf(f, "%s\n", text);
    st = fet__outfile_commit(f);
done:
    json_decref(j);
    free(text);
    fet__free(fixed);
    return st;
}

static fet_status number(const json_t *of, const char *key, const char *path, double *out)
{
    const json_t *v = json_object_get(of, key);

    *out = json_number_value(v);
    if (!json_is_number(v))
        return FET_FAIL(FET_E_FORMAT, "%s has no entry '%s'", path, key);
    if (!isfinite(*out) || *out <= 0)
        return FET_FAIL(FET_E_FORMAT, "%s: entry '%s' is %g, not a positive number", path, key, *out);
    return FET_OK;
}

static fet_status same_machine(const json_t *root, const char *path)
{
    const char *device = json_string_value(json_object_get(root, "device"));
    const char *isa = json_string_value(json_object_get(root, "isa"));
    const char *version = json_string_value(json_object_get(root, "fettle"));
    int threads = (int)json_integer_value(json_object_get(root, "threads"));
    char own[128];

    processor(own);
    if (!device || !isa || !version)
        return FET_FAIL(FET_E_FORMAT, "%s does not say what it was measured on", path);
    if (strcmp(device, own) != 0 || strcmp(isa, fet__cpu_text()) != 0 || threads != fet__threads())
        return FET_FAIL(FET_E_ARG, "%s was measured on %s (%s, %d threads), this is %s (%s, %d threads)", path,
                        fet__show(device), fet__show(isa), threads, own, fet__cpu_text(), fet__threads());
    if (strcmp(version, fet_version()) != 0)
        return FET_FAIL(FET_E_ARG, "%s was measured by version %s, this is %s", path, fet__show(version),
                        fet_version());
    return FET_OK;
}

fet_status fet__nas_table_read(fet__nas_table *out, const fet__arch *frame, const char *path, bool foreign)
{
    char *fixed = fixed_key(frame), key[64];
    json_error_t error;
    json_t *root = NULL;
    fet_status st = fixed ? FET_OK : FET_E_NOMEM;

    FET_TRY(st);
    root = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        st = FET_FAIL(fet__file_exists(path) ? FET_E_FORMAT : FET_E_IO, "%s: %s", path, fet__show(error.text));
    FET_TRY(st);
    if (json_integer_value(json_object_get(root, "fettle_profile")) != FORMAT)
        st = FET_FAIL(FET_E_FORMAT, "%s is no profile of format %d", path, FORMAT);
    FET_TRY(st);
    if (!foreign)
        FET_TRY(same_machine(root, path));
    FET_TRY(number(json_object_get(root, "fixed"), fixed, path, &out->fixed));
    for (int stage = 0; stage < QUADRANET_STAGES; stage++)
        for (int j = 0; j < FET__NAS_IDENTITY; j++) {
            key_of(frame, stage, j, key);
            FET_TRY(number(json_object_get(root, "blocks"), key, path, &out->block[stage][j]));
        }
done:
    json_decref(root);
    fet__free(fixed);
    return st;
}
