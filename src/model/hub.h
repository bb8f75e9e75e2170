/* Configuration files of the Hugging Face hub beside a checkpoint. */
#ifndef FET_HUB_H
#define FET_HUB_H

#include "model/model.h"

typedef struct fet__hub {
    fet__arena *arena;      /* set by the caller: names live here */
    fet__arch_hints *hints; /* set by the caller: what the files say overrides it */
    char **classes;
    int class_count; /* 0: no names */
} fet__hub;
/* Absent files change nothing. */
fet_status fet__hub_read(fet__hub *out, const char *folder);

#endif
