/* The classes that adapter_registry.c lists, each defined in its own file. */
#ifndef FET_ADAPTER_INT_H
#define FET_ADAPTER_INT_H

#include "adapter/adapter.h"

/* ---- adapter_registry.c: NAME.bias of a merged layer; one that it lacks is added unless it would be all zero */
fet_status fet__merge_bias(fet__params *store, const fet__site *s, const double *bias);

extern const fet__adapter_class fet__adapter_hydra;       /* hydra.c */
extern const fet__adapter_class fet__adapter_lora;        /* lora.c */
extern const fet__adapter_class fet__adapter_seqlora;     /* lora.c */
extern const fet__adapter_class fet__adapter_bitfit;      /* selection.c */
extern const fet__adapter_class fet__adapter_mona;        /* mona.c; its module: mona_int.h */
extern const fet__adapter_class fet__adapter_adapter;     /* houlsby.c */
extern const fet__adapter_class fet__adapter_adaptformer; /* adaptformer.c */
extern const fet__adapter_class fet__adapter_ssf;         /* ssf.c */
extern const fet__adapter_class fet__adapter_fact;        /* fact.c */
extern const fet__adapter_class fet__adapter_repadapter;  /* repadapter.c */
extern const fet__adapter_class fet__adapter_vpt;         /* vpt.c */
extern const fet__adapter_class fet__adapter_norm;        /* selection.c */
extern const fet__adapter_class fet__adapter_partial1;    /* selection.c */
extern const fet__adapter_class fet__adapter_site;        /* selection.c */
extern const fet__adapter_class fet__adapter_linear;      /* selection.c */
extern const fet__adapter_class fet__adapter_full;        /* selection.c */

#endif
