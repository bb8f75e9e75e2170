/* Adapters: what is added to a pretrained model, what trains, and how it merges away. One file per adapter and one line in
 * adapter_registry.c. Adapters act at the sites of nn/nn.h and know no model. */
#ifndef FET_ADAPTER_H
#define FET_ADAPTER_H

#include "nn/nn.h"

typedef struct fet__adapter fet__adapter;

typedef struct fet__option {
    const char *key, *value, *help; /* value: the default as text */
} fet__option;
typedef struct fet__preset {
    const char *name, *options; /* "vtab", "at=attn.proj+mlp.fc2,rank=2,init=xavier" */
} fet__preset;

typedef struct fet__adapter_class {
    const char *name;                         /* "hydra" */
    const char *help;                         /* one line */
    const fet__option *options;               /* ended by key NULL; NULL: none */
    const fet__preset *presets;               /* ended by name NULL; NULL: none */
    size_t config_bytes;                      /* of the struct behind adapter->config */
    fet_status (*configure)(fet__adapter *a); /* options -> config, with checks that name the option */
    fet__hooks hooks;                         /* user is the fet__adapter */
    bool (*trains)(const fet__adapter *a,
                   const fet__param *p); /* base parameters that train besides the head; NULL: none */
    /* Before trains() is asked: what depends on all names (which block is the last). NULL: nothing does. */
    fet_status (*survey)(fet__adapter *a, const fet__params *store);
    bool spares_head; /* the head is not part of it, running statistics may be */
    bool parts;       /* `at` may also name row blocks of a fused layer: attn.q */
    unsigned sites;   /* kinds of site that `at` names, bits 1 << FET__SITE_*; 0: linear layers */
    int branch;       /* of residual sites: only FET__BRANCH_MLP or FET__BRANCH_ATTENTION; FET__BRANCH_OTHER (0): any */
    /* Write the site's branches into its plain weights (double arithmetic) and drop its adapter parameters. A bias that the layer lacks is
     * added. NULL: the adapter does not merge, for the reason in `merge_refusal`; selection-only adapters merge trivially (nothing to do). */
    fet_status (*merge)(fet__adapter *a, fet__params *store, const fet__site *s);
    /* For modules that no plain weight can take in: write the site's module in its fused form, under the names of fet__adapter_name with
     * `fused` set, as parameters of the model. The adapter then stays with the model for ever and its hooks build that form. */
    fet_status (*fuse)(fet__adapter *a, fet__params *store, const fet__site *s);
    const char *merge_refusal;
} fet__adapter_class;

struct fet__adapter {
    const fet__adapter_class *class_;
    void *config;
    char **values;    /* one per option, in the order of the class */
    char *spec;       /* canonical "hydra:at=mlp.fc2,rank=2,..." with every option */
    fet__hooks hooks; /* the class's, with user set */
    int fused;        /* 0: attached; n > 0: the n-th module that is part of the model, in its fused form */
    int used;         /* sites it acted on while the last graph was built */
};

/* ---- adapter_registry.c --------------------------------------------------------------------------------------------- */
extern const fet__adapter_class *const fet__adapter_classes[]; /* ended by NULL */
/* From "NAME[:key=value,...]"; lists inside a value use '+'. Unknown names and keys name the nearest known one (FET_E_ARG). */
fet_status fet__adapter_create(fet__adapter **out, const char *spec);
void fet__adapter_destroy(fet__adapter *a);
/* Value of an option by key (always present). */
const char *fet__adapter_value(const fet__adapter *a, const char *key);
/* Parsed with range check; the message names adapter, key, value and range. */
fet_status fet__adapter_int(const fet__adapter *a, const char *key, int64_t low, int64_t high, int64_t *out);
fet_status fet__adapter_double(const fet__adapter *a, const char *key, double low, double high, double *out);
fet_status fet__adapter_bool(const fet__adapter *a, const char *key, bool *out);
/* The index of an option's value among `words` (ended by NULL); the message lists them. */
fet_status fet__adapter_word(const fet__adapter *a, const char *key, const char *const *words, int *out);
/* Whether the adapter acts at this site: of its kind and branch, and named by `at`. */
bool fet__adapter_acts(const fet__adapter *a, const fet__site *s);

/* Mark what trains in `store`: the adapter's own parameters, those that class->trains selects, and `head_prefix`.*  */
fet_status fet__adapter_select(fet__adapter *a, fet__params *store, const char *head_prefix);
/* After a graph was built with the adapter's hooks: FET_E_NOMATCH naming `at` and some layer names when it acted nowhere though it should. */
fet_status fet__adapter_check_used(const fet__adapter *a, const fet__build *b);
/* Merge, or fuse, all sites in `sites`; the adapter's own parameters are then gone from the store. `number` is what a->fused becomes
 * where the class fuses. */
fet_status fet__adapter_merge(fet__adapter *a, fet__params *store, const fet__site *sites, int count, int number,
                              fet__text *merged);

/* ---- lowrank.c: the branches that hydra, lora and seqlora share (methods/hydra.md section 1) ------------------- */
typedef struct fet__lowrank {
    const char *at;         /* site patterns */
    int rank_par, rank_seq; /* 0: that branch is absent */
    double scale;
    double dropout; /* hidden: on the rank-wide vector; input: on x (classical LoRA) */
    bool dropout_on_input;
    bool bias;
    enum { FET__DOWN_NORMAL, FET__DOWN_XAVIER, FET__DOWN_KAIMING } init;
} fet__lowrank;
fet__node *fet__lowrank_linear(void *adapter, fet__build *b, const fet__site *s, fet__node *x, fet__node *y);
fet_status fet__lowrank_merge(fet__adapter *a, fet__params *store, const fet__site *s);

#endif
