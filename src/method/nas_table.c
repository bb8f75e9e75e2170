/* The table of measured blocks: what it holds for a frame, as a JSON file, and what it predicts. */
#include "method/nas_int.h"
#include "store/json_text.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT 1

fet_status fet__nas_frame(fet__arch *out, const char *text)
{
    const fet__quadranet *q;
    fet_status st = fet__arch_open(out, text ? text : "quadranet36_xxs");

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

static const char *space_of(const fet__arch *frame)
{
    const fet__quadranet *q = frame->config;

    return q->mixer == FET__MIX_CONV ? "conv" : "quadratic";
}

void fet__nas_key(const fet__arch *frame, int stage, int j, char out[64])
{
    int grid[2], channels;

    fet__nas_stage(frame, stage, grid, &channels);
    snprintf(out, 64, "%s %dx%dx%d k%de%d", space_of(frame), grid[0], grid[1], channels, fet__nas_kernel(j),
             fet__nas_expansion(j));
}

void fet__nas_fixed_key(const fet__arch *frame, char out[64])
{
    const fet__quadranet *q = frame->config;

    snprintf(out, 64, "%s %dx%dx3 patch%d dim%d", space_of(frame), q->image[0], q->image[1], q->patch, q->dim);
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

/* ---- writing ------------------------------------------------------------------------------------------------------ */

static json_t *described(const fet__nas_table tables[2], const fet__arch frames[2])
{
    json_t *blocks = json_object(), *fixed = json_object();
    char name[128], key[64];

    processor(name);
    for (int space = 0; space < 2; space++) {
        fet__nas_fixed_key(&frames[space], key);
        json_object_set_new(fixed, key, json_real(tables[space].fixed));
        for (int stage = 0; stage < QUADRANET_STAGES; stage++)
            for (int j = 0; j < FET__NAS_IDENTITY; j++) {
                fet__nas_key(&frames[space], stage, j, key);
                json_object_set_new(blocks, key, json_real(tables[space].block[stage][j]));
            }
    }
    return json_pack("{s:i, s:s, s:s, s:i, s:s, s:s, s:o, s:o}", "fettle_profile", FORMAT, "device", name, "isa",
                     fet__cpu_text(), "threads", fet__threads(), "fettle", fet_version(), "unit", "ms", "fixed", fixed,
                     "blocks", blocks);
}

fet_status fet__nas_table_write(const fet__nas_table tables[2], const fet__arch frames[2], const char *path,
                                const fet_nas_profile_report *report)
{
    json_t *j = described(tables, frames);
    char *text = NULL;
    fet_status st = FET_OK;

    if (j && report->checked)
        json_object_set_new(j, "check",
                            json_pack("{s:i, s:f, s:f}", "networks", report->checked, "mean_error", report->mean_error,
                                      "worst_error", report->worst_error));
    text = j ? json_dumps(j, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) : NULL;
    if (!text)
        st = FET_FAIL(FET_E_NOMEM, "no memory for a profile");
    FET_TRY(st);
    st = fet__file_write_text(path, text);
done:
    json_decref(j);
    free(text);
    return st;
}

/* ---- reading ------------------------------------------------------------------------------------------------------ */

static fet_status cost(const json_t *root, const char *part, const char *key, const char *path, double *out)
{
    const json_t *of = json_object_get(root, part), *v = json_object_get(of, key);

    *out = json_number_value(v);
    if (!json_is_number(v))
        return FET_FAIL(FET_E_FORMAT, "%s has no entry '%s' in '%s': it was made for another network (--arch)",
                        fet__show(path), key, part);
    if (!isfinite(*out) || *out <= 0)
        return FET_FAIL(FET_E_FORMAT, "%s: entry '%s' is %g, not a positive number", fet__show(path), key, *out);
    return FET_OK;
}

/* A short word without spaces and control characters. */
static fet_status take_unit(fet__nas_table *t, const json_t *root, const char *path)
{
    const char *unit = json_string_value(json_object_get(root, "unit"));
    bool good = unit && unit[0] && strlen(unit) < sizeof t->unit && !isdigit((unsigned char)unit[0]);

    for (const char *p = unit; good && *p; p++)
        good = *p > ' ' && *p < 127;
    if (!good)
        return FET_FAIL(FET_E_FORMAT, "%s: 'unit' is no short word such as \"ms\"", fet__show(path));
    snprintf(t->unit, sizeof t->unit, "%s", unit);
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
        return FET_FAIL(FET_E_FORMAT, "%s does not say what it was measured on (and not that it is foreign)",
                        fet__show(path));
    if (strcmp(device, own) != 0 || strcmp(isa, fet__cpu_text()) != 0)
        return FET_FAIL(FET_E_ARG,
                        "%s was measured on %s (%s), this is %s (%s): measure again, or say --foreign to search for "
                        "that device",
                        fet__show(path), fet__show(device), fet__show(isa), own, fet__cpu_text());
    if (threads != fet__threads())
        return FET_FAIL(FET_E_ARG,
                        "%s was measured with %d threads, these are %d: give --threads %d, measure again, or say "
                        "--foreign",
                        fet__show(path), threads, fet__threads(), threads);
    if (strcmp(version, fet_version()) != 0)
        return FET_FAIL(FET_E_ARG, "%s was measured by version %s, this is %s: measure again, or say --foreign",
                        fet__show(path), fet__show(version), fet_version());
    return FET_OK;
}

static fet_status whose(fet__nas_table *t, const json_t *root, const char *path, bool foreign)
{
    const json_t *says = json_object_get(root, "foreign");
    const char *device = json_string_value(json_object_get(root, "device"));

    if (says && !json_is_boolean(says))
        return FET_FAIL(FET_E_FORMAT, "%s: 'foreign' is neither true nor false", fet__show(path));
    t->foreign = foreign || json_is_true(says);
    snprintf(t->device, sizeof t->device, "%.*s", (int)sizeof t->device - 1,
             device ? fet__show(device) : "a device without a name");
    return t->foreign ? FET_OK : same_machine(root, path);
}

fet_status fet__nas_table_parse(fet__nas_table *out, const fet__arch *frame, const char *json, size_t size,
                                const char *path, bool foreign)
{
    json_t *root = NULL;
    char key[64];
    fet_status st;

    memset(out, 0, sizeof *out);
    FET_TRY(fet__json_parse(&root, json, size, path));
    if (!json_is_integer(json_object_get(root, "fettle_profile")) ||
        json_integer_value(json_object_get(root, "fettle_profile")) != FORMAT)
        st = FET_FAIL(FET_E_FORMAT, "%s is no profile of format %d", fet__show(path), FORMAT);
    FET_TRY(st);
    FET_TRY(whose(out, root, path, foreign));
    FET_TRY(take_unit(out, root, path));
    fet__nas_fixed_key(frame, key);
    FET_TRY(cost(root, "fixed", key, path, &out->fixed));
    for (int stage = 0; stage < QUADRANET_STAGES; stage++)
        for (int j = 0; j < FET__NAS_IDENTITY; j++) {
            fet__nas_key(frame, stage, j, key);
            FET_TRY(cost(root, "blocks", key, path, &out->block[stage][j]));
        }
done:
    json_decref(root);
    return st;
}

fet_status fet__nas_table_read(fet__nas_table *out, const fet__arch *frame, const char *path, bool foreign)
{
    fet__map map = {0};
    fet_status st;

    FET_TRY(fet__map_open(&map, path));
    st = fet__nas_table_parse(out, frame, (const char *)map.data, map.size, path, foreign);
done:
    fet__map_close(&map);
    return st;
}
