/* A set of names with numbers, for class and domain names: a hash table over an array in the order of first
 * appearance. Sorting and choosing is the business of classes.c. */
#include "data/data_int.h"

#include <string.h>

static int32_t *slot_of(const fet__nameset *set, const char *name)
{
    uint32_t mask = (uint32_t)set->slot_count - 1;
    uint32_t at = fet__hash32(name) & mask;
    while (set->slots[at] != 0 && strcmp(set->names[set->slots[at] - 1], name) != 0)
        at = (at + 1) & mask;
    return &set->slots[at];
}

static fet_status grow_slots(fet__nameset *set)
{
    int slot_count = set->slot_count ? set->slot_count * 2 : 64;
    int32_t *slots = fet__alloc((size_t)slot_count, sizeof *slots);
    if (!slots)
        return FET_E_NOMEM;
    fet__free(set->slots);
    set->slots = slots;
    set->slot_count = slot_count;
    for (int i = 0; i < set->count; i++)
        *slot_of(set, set->names[i]) = i + 1;
    return FET_OK;
}

fet_status fet__nameset_add(fet__nameset *set, const char *name, int32_t *index)
{
    if (set->count * 2 >= set->slot_count) { /* at most half full, so that searches stay short */
        if (set->slot_count > INT32_MAX / 4)
            return FET_FAIL(FET_E_DATA, "more than %d different names", set->count);
        fet_status st = grow_slots(set);
        if (st != FET_OK)
            return st;
    }
    int32_t *slot = slot_of(set, name);
    if (*slot != 0) {
        *index = *slot - 1;
        return FET_OK;
    }
    if (set->count == set->capacity) {
        int capacity = set->capacity ? set->capacity * 2 : 32;
        const char **names = fet__realloc(set->names, (size_t)set->capacity, (size_t)capacity, sizeof *names);
        if (!names)
            return FET_E_NOMEM;
        set->names = names;
        set->capacity = capacity;
    }
    char *copy = fet__arena_strdup(&set->arena, name);
    if (!copy)
        return FET_E_NOMEM;
    set->names[set->count] = copy;
    *index = set->count++;
    *slot = set->count;
    return FET_OK;
}

int32_t fet__nameset_find(const fet__nameset *set, const char *name)
{
    return set->slot_count ? *slot_of(set, name) - 1 : -1;
}

void fet__nameset_fini(fet__nameset *set)
{
    fet__free(set->names);
    fet__free(set->slots);
    fet__arena_fini(&set->arena);
    memset(set, 0, sizeof *set);
}
