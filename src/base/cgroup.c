/* Limits that containers and service managers set on memory and processor time, in control groups of version 1 and 2.
 * A limit may sit on any group above ours, so each level up to the mount is asked and the tightest counts. A missing
 * file means no limit there; inside a container our own path is often not visible and only the mount itself is. */
#include "base/base_int.h"

#include <inttypes.h>
#include <string.h>

#define PATH_ROOM 4096

/* One control-group version's names of the same facts. */
typedef struct controller {
    const char *tag;    /* the field of /proc/self/cgroup that names it: version 2 has an empty one */
    const char *folder; /* below the mount */
} controller;

static const controller version2 = {"", ""};
static const controller memory1 = {"memory", "/memory"};
static const controller cpu1 = {"cpu", "/cpu"};

/* First number in a file, or -1 ("max" and a missing file are no number). `second` may be NULL. */
static int64_t read_numbers(const char *folder, const char *name, int64_t *second)
{
    char path[PATH_ROOM + 64];
    int64_t first = -1, other = -1;
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    f = fopen(path, "re");
    if (!f)
        return -1;
    if (fscanf(f, "%" SCNd64, &first) != 1)
        first = -1;
    else if (second && fscanf(f, "%" SCNd64, &other) == 1)
        *second = other;
    fclose(f);
    return first;
}

/* The number behind `key` in a file of "key number" lines, or 0. */
static int64_t read_key(const char *folder, const char *name, const char *key)
{
    char path[PATH_ROOM + 64], word[64];
    int64_t v, found = 0;
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    f = fopen(path, "re");
    if (!f)
        return 0;
    while (fscanf(f, "%63s %" SCNd64, word, &v) == 2)
        if (strcmp(word, key) == 0)
            found = v;
    fclose(f);
    return found;
}

/* File pages that were not used lately are given back before anybody is killed, so they count as free. */
static int64_t left_here(const char *folder, const char *limit, const char *usage, const char *cache)
{
    int64_t most = read_numbers(folder, limit, NULL), used, left;

    if (most < 0 || most >= INT64_MAX / 2) /* version 1 writes "no limit" as a huge number */
        return -1;
    used = read_numbers(folder, usage, NULL);
    left = most - (used > 0 ? used : 0) + read_key(folder, "memory.stat", cache);
    return left < 0 ? 0 : left < most ? left : most;
}

static int64_t memory2_here(const char *folder)
{
    return left_here(folder, "memory.max", "memory.current", "inactive_file");
}

static int64_t memory1_here(const char *folder)
{
    return left_here(folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file");
}

static int64_t cpus_of(int64_t quota, int64_t period)
{
    return quota > 0 && period > 0 ? (quota + period - 1) / period : -1;
}

static int64_t cpu2_here(const char *folder)
{
    int64_t period = -1, quota = read_numbers(folder, "cpu.max", &period);

    return cpus_of(quota, period);
}

static int64_t cpu1_here(const char *folder)
{
    return cpus_of(read_numbers(folder, "cpu.cfs_quota_us", NULL), read_numbers(folder, "cpu.cfs_period_us", NULL));
}

/* Is `tag` one of the comma-separated words of `list`? */
static bool has_word(const char *list, const char *tag)
{
    size_t length = strlen(tag);

    for (const char *p = list; p; p = strchr(p, ',')) {
        p += *p == ',';
        if (strncmp(p, tag, length) == 0 && (p[length] == ',' || p[length] == '\0'))
            return true;
    }
    return false;
}

/* Lines are "number:controllers:path". Leaves "" when the process is not listed. */
static void find_group(char out[PATH_ROOM], const char *self, const char *tag)
{
    char line[PATH_ROOM];
    FILE *f = fopen(self, "re");

    out[0] = '\0';
    if (!f)
        return;
    while (fgets(line, sizeof line, f)) {
        char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;

        if (!path)
            continue;
        *path++ = '\0';
        path[strcspn(path, "\n")] = '\0';
        if (has_word(list + 1, tag))
            memcpy(out, path, strlen(path) + 1);
    }
    fclose(f);
}

/* Ask each group from ours up to the mount; the smallest answer, or -1. */
static int64_t tightest(const char *mount, const char *self, const controller *c, int64_t (*here)(const char *))
{
    char group[PATH_ROOM], folder[PATH_ROOM];
    int64_t least = -1;

    find_group(group, self, c->tag);
    for (;;) {
        char *cut = strrchr(group, '/');
        int length = snprintf(folder, sizeof folder, "%s%s%s", mount, c->folder, group);
        int64_t v = length < (int)sizeof folder ? here(folder) : -1;

        if (v >= 0 && (least < 0 || v < least))
            least = v;
        if (!cut)
            return least;
        *cut = '\0';
    }
}

static int64_t lesser_limit(int64_t a, int64_t b)
{
    if (a < 0 || b < 0)
        return a < 0 ? b : a;
    return a < b ? a : b;
}

int64_t fet__cgroup_memory_left(const char *mount, const char *self)
{
    return lesser_limit(tightest(mount, self, &version2, memory2_here), tightest(mount, self, &memory1, memory1_here));
}

int fet__cgroup_cpus(const char *mount, const char *self)
{
    int64_t cpus = lesser_limit(tightest(mount, self, &version2, cpu2_here), tightest(mount, self, &cpu1, cpu1_here));

    return cpus > INT32_MAX ? INT32_MAX : (int)cpus;
}
