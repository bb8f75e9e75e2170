/* Adapters that add nothing and only choose what trains: full fine-tuning, linear probe, BitFit, NormTuning, Partial-1
 * (methods/hydra.md section 9, methods/mona.md section 4). The names decide, as in the reference. */
#include "adapter/adapter_int.h"

#include <stdlib.h>
#include <string.h>

static bool every(const fet__adapter *a, const fet__param *p)
{
    (void)a;
    (void)p;
    return true;
}

/* ---- bitfit ----------------------------------------------------------------------------------------------------------- */

typedef struct bitfit {
    bool tables;
} bitfit;

static const fet__option bitfit_options[] = {
    {"tables", "false", "tables of relative position biases too, as every name that holds 'bias'"}, {0}};
static const fet__preset bitfit_presets[] = {{"mona", "tables=true"}, {"hydra", "tables=false"}, {0}};

static fet_status bitfit_configure(fet__adapter *a)
{
    return fet__adapter_bool(a, "tables", &((bitfit *)a->config)->tables);
}

static bool biases(const fet__adapter *a, const fet__param *p)
{
    size_t length = strlen(p->name);

    if (((const bitfit *)a->config)->tables)
        return strstr(p->name, "bias") != NULL;
    return length >= 5 && strcmp(p->name + length - 5, ".bias") == 0;
}

/* ---- norm ------------------------------------------------------------------------------------------------------------- */

static bool norms(const fet__adapter *a, const fet__param *p)
{
    (void)a;
    return p->role == FET__PARAM && (p->norm || strstr(p->name, "norm") != NULL);
}

/* ---- site: what a new place makes of batch norms, or its context --------------------------------------------------- */

typedef struct site_config {
    int adapt; /* index into site_words */
} site_config;

static const char *const site_words[] = {"affine", "stats", "both", "context", NULL};
static const fet__option site_options[] = {{"adapt", "affine",
                                            "affine: scales and shifts; stats: running statistics; both; context: what "
                                            "the site's pictures look like (ARM-CML)"},
                                           {0}};

static fet_status site_configure(fet__adapter *a)
{
    return fet__adapter_word(a, "adapt", site_words, &((site_config *)a->config)->adapt);
}

static bool of_site(const fet__adapter *a, const fet__param *p)
{
    int adapt = ((const site_config *)a->config)->adapt;
    bool context = p->role == FET__BUFFER && strcmp(p->name, "context_map") == 0; /* model/context.c */

    if (context || adapt == 3)
        return context && adapt == 3;
    return p->role == FET__BUFFER ? adapt > 0 : p->norm && adapt != 1;
}

/* ---- partial1 --------------------------------------------------------------------------------------------------------- */

typedef struct partial {
    char block[128]; /* "layers.3.blocks.1." */
} partial;

/* The number after `word` when that part of the name is followed by a number; -1 when it is not there. */
static long number_after(const char *name, const char *word)
{
    const char *at = strstr(name, word);
    char *end;
    long n;

    if (!at || (at != name && at[-1] != '.'))
        return -1;
    at += strlen(word);
    n = strtol(at, &end, 10);
    return end != at && *end == '.' ? n : -1;
}

/* Blocks stand one behind the other: "blocks.11", or by stages "layers.3.blocks.1". */
static bool behind(const char *name, const char *other)
{
    long stage = number_after(name, "layers."), last_stage = number_after(other, "layers.");

    if (stage != last_stage)
        return stage > last_stage;
    return number_after(name, "blocks.") > number_after(other, "blocks.");
}

static fet_status find_last(fet__adapter *a, const fet__params *store)
{
    partial *c = a->config;
    const char *last = "";
    int i;

    for (i = 0; i < fet__params_count(store); i++) {
        const fet__param *p = fet__params_at(store, i);
        if (p->role == FET__PARAM && number_after(p->name, "blocks.") >= 0 && behind(p->name, last))
            last = p->name;
    }
    if (!last[0])
        return FET_FAIL(FET_E_NOMATCH, "adapter 'partial1': the model has no blocks, so that none is the last");
    i = (int)(strchr(strstr(last, "blocks.") + strlen("blocks."), '.') - last) + 1;
    snprintf(c->block, sizeof c->block, "%.*s", i, last);
    return FET_OK;
}

static bool in_last(const fet__adapter *a, const fet__param *p)
{
    const partial *c = a->config;

    return strncmp(p->name, c->block, strlen(c->block)) == 0;
}

/* ---- classes ---------------------------------------------------------------------------------------------------------- */

const fet__adapter_class fet__adapter_full = {.name = "full", .help = "every parameter trains", .trains = every};
const fet__adapter_class fet__adapter_linear = {.name = "linear", .help = "linear probe: the head alone trains"};
const fet__adapter_class fet__adapter_bitfit = {
    .name = "bitfit",
    .help = "every bias trains (linear layers, patch embedding, norms), and the head",
    .options = bitfit_options,
    .presets = bitfit_presets,
    .config_bytes = sizeof(bitfit),
    .configure = bitfit_configure,
    .trains = biases};
const fet__adapter_class fet__adapter_norm = {
    .name = "norm", .help = "every norm's weight and bias trains, and the head", .trains = norms};
const fet__adapter_class fet__adapter_site = {
    .name = "site",
    .help = "batch norms or context of a new place; `fettle adapt` makes it, without labels",
    .options = site_options,
    .config_bytes = sizeof(site_config),
    .configure = site_configure,
    .trains = of_site,
    .spares_head = true};
const fet__adapter_class fet__adapter_partial1 = {.name = "partial1",
                                                  .help = "the last block trains, and the head",
                                                  .config_bytes = sizeof(partial),
                                                  .survey = find_last,
                                                  .trains = in_last};
