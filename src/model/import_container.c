/* Checkpoints that hold more than a network (optimiser, epoch, averaged weights): which part of the file is the network. */
#include "model/import.h"

#include <string.h>
#include <strings.h>

/* In the order of preference. */
static const char *const containers[] = {"state_dict",
                                         "model_state_dict",
                                         "model",
                                         "net",
                                         "model_state",
                                         "network",
                                         "weights",
                                         "module",
                                         "student",
                                         "teacher",
                                         "state_dict_ema",
                                         "model_ema",
                                         "model_ema_state_dict",
                                         "ema_state_dict",
                                         "ema_model",
                                         "ema"};

bool fet__is_average(const char *name)
{
    static const char *const words[] = {"ema", "mean_net", "momentum", "encoder_k", "teacher", "target", "avg"};

    for (size_t i = 0; i < FET_COUNT(words); i++)
        if (strcasestr(name, words[i]))
            return true;
    return false;
}

/* Does a tensor lie in PATH NAME/ ? */
static bool holds(const fet__tensors *t, const char *path, const char *name)
{
    size_t length = strlen(path), more = strlen(name);

    for (int i = 0; i < fet__tensors_count(t); i++) {
        const char *s = fet__tensors_at(t, i)->name;
        if (strncmp(s, path, length) == 0 && strncmp(s + length, name, more) == 0 && s[length + more] == '/')
            return true;
    }
    return false;
}

static const char *pick(const fet__tensors *t, const char *path, const char *wanted, bool *found)
{
    if (wanted && holds(t, path, wanted)) {
        *found = true;
        return wanted;
    }
    for (size_t i = 0; i < FET_COUNT(containers); i++)
        if (holds(t, path, containers[i]))
            return containers[i];
    return NULL;
}

static void tell_others(const fet__tensors *t, const char *path, const char *taken)
{
    for (size_t i = 0; i < FET_COUNT(containers); i++)
        if (strcmp(containers[i], taken) != 0 && holds(t, path, containers[i]))
            fet__note("%s: it holds %s weights too, in %s: --weights %s takes them instead of %s",
                      fet__show(fet__tensors_path(t)), fet__is_average(containers[i]) ? "averaged" : "other",
                      containers[i], containers[i], taken);
}

fet_status fet__container_choose(const char **out, bool *found, const fet__tensors *t, const char *wanted,
                                 fet__arena *arena)
{
    const char *path = "", *name;
    int depth;

    *found = false;
    for (depth = 0; depth < 4 && (name = pick(t, path, wanted, found)) != NULL; depth++) {
        if (!*found)
            tell_others(t, path, name);
        path = fet__arena_format(arena, "%s%s/", path, name);
        if (!path)
            return FET_E_NOMEM;
    }
    *out = path;
    return FET_OK;
}
