/* parity: checks golden files against libfettle. Walks folders, finds what has a kind, lets the kind compute
 * and compare, prints a line a file. What a kind does is in kind_*.c; how values are compared is in
 * compare.c. */
#include "parity/parity.h"

#include <string.h>

typedef struct runner {
    const char *only; /* globs over kinds, ',' between, or NULL */
    bool reference;
    int passed, failed;
} runner;

static const char usage[] =
    "usage: parity [--only GLOB[,GLOB]] [--reference] DIR...\n"
    "Checks every *.safetensors below DIR that has a kind in its metadata, and the folders "
    "that are a kind of their own.\n"
    "  --only GLOB[,GLOB]  kinds to check (hydra.*,data.optim*); default: all\n"
    "  --reference         graphs run by the reference kernels alone, in double where that can be\n"
    "A line a file: pass or FAIL, kind, file, largest error, tolerance. Exit status: 0 all "
    "passed, 1 not so, 2 wrong usage.\n"
    "Example: parity --only 'hydra.*' golden\n";

static bool selected(const runner *r, const char *kind)
{
    const char *at = r->only;
    char pattern[128];

    if (!at)
        return true;
    while (*at) {
        size_t length = strcspn(at, ",");
        snprintf(pattern, sizeof pattern, "%.*s", (int)length, at);
        if (fet__glob(pattern, kind))
            return true;
        at += length + (at[length] == ',');
    }
    return false;
}

/* ---- one golden ------------------------------------------------------------------------------------------ */

static bool is_result(const char *name)
{
    return strncmp(name, "in.", 3) != 0 && strncmp(name, "param.", 6) != 0;
}

/* A kind that forgot a result of the file has not checked the file. */
static fet_status check_complete(const parity_case *c)
{
    if (c->compared == 0)
        return FET_FAIL(FET_E_VERIFY, "nothing was compared");
    for (int i = 0; c->t && i < fet__tensors_count(c->t); i++) {
        const char *name = fet__tensors_at(c->t, i)->name;
        if (is_result(name) && !c->seen[i])
            return FET_FAIL(FET_E_VERIFY, "%s was not compared", fet__show(name));
    }
    return FET_OK;
}

static void report(runner *r, const parity_case *c, const char *kind, fet_status st)
{
    bool good = st == FET_OK && c->worst <= 1;

    if (good)
        r->passed++;
    else
        r->failed++;
    printf("%s  %-24s %s", good ? "pass" : "FAIL", kind, fet__show(c->path));
    if (c->compared)
        printf("  error %.2e tolerance %.2e (%s of %d)", c->worst_error, c->worst_tolerance, c->worst_name,
               c->compared);
    if (st != FET_OK)
        printf("  %s", fet_error_message());
    printf("\n");
    fflush(stdout);
}

static const parity_kind *find_kind(const char *kind)
{
    for (const parity_kind *k = parity_kinds; k->kind; k++)
        if (!k->folder && strcmp(k->kind, kind) == 0)
            return k;
    return NULL;
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? fet__strndup(path, (size_t)(slash - path)) : fet__strdup(".");
}

static void run_kind(runner *r, const char *kind, const parity_kind *k, const char *path, fet__tensors *t)
{
    parity_case c = {.path = path, .t = t, .reference = r->reference};
    char *folder = NULL;
    fet_status st = FET_OK;

    if (!(c.folder = folder = folder_of(path))) {
        st = FET_E_NOMEM;
        goto done;
    }
    FET_TRY(FET_NEW(c.seen, t ? fet__tensors_count(t) : 1));
    if (!k || !k->run) {
        st = FET_FAIL(FET_E_ARG, "this runner does not know kind %s", fet__show(kind));
        goto done;
    }
    FET_TRY(k->run(&c));
    FET_TRY(check_complete(&c));
done:
    report(r, &c, kind, st);
    fet__free(c.seen);
    fet__free(folder);
}

static void check_file(runner *r, const char *path)
{
    parity_case broken = {.path = path};
    fet__tensors *t = NULL;
    fet_status st = fet__tensors_open(&t, path);
    const char *kind;

    if (st != FET_OK) {
        report(r, &broken, "(unreadable)", st);
        return;
    }
    kind = fet__tensors_meta(t, "kind");
    if (kind && selected(r, kind))
        run_kind(r, kind, find_kind(kind), path, t);
    fet__tensors_close(t);
}

/* ---- the walk -------------------------------------------------------------------------------------------- */

static bool ends_with(const char *path, const char *end)
{
    size_t length = strlen(path), own = strlen(end);

    return length >= own && strcmp(path + length - own, end) == 0 && (length == own || path[length - own - 1] == '/');
}

static const parity_kind *kind_of_place(const char *path)
{
    for (const parity_kind *k = parity_kinds; k->kind; k++)
        if (k->folder && ends_with(path, k->folder))
            return k;
    return NULL;
}

static fet_status walk(runner *r, const char *path);

static fet_status walk_folder(runner *r, const char *path)
{
    char **names = NULL;
    int count = 0;
    fet_status st = fet__list_folder(&names, &count, path);

    for (int i = 0; i < count && st == FET_OK; i++) {
        char *child = fet__path_join(path, names[i]);
        st = child ? walk(r, child) : FET_E_NOMEM;
        fet__free(child);
    }
    fet__names_free(names, count);
    return st;
}

static fet_status walk(runner *r, const char *path)
{
    const parity_kind *k = kind_of_place(path);
    size_t length = strlen(path);

    if (k) {
        if (selected(r, k->kind))
            run_kind(r, k->kind, k, path, NULL);
        return FET_OK;
    }
    if (fet__is_folder(path))
        return walk_folder(r, path);
    if (length > 12 && strcmp(path + length - 12, ".safetensors") == 0)
        check_file(r, path);
    return FET_OK;
}

/* ---- command line ---------------------------------------------------------------------------------------- */

static int wrong_usage(const char *problem, const char *word)
{
    fprintf(stderr, "parity: %s%s\n%s", problem, word, usage);
    return 2;
}

static int finish(const runner *r)
{
    printf("%d passed, %d failed\n", r->passed, r->failed);
    if (r->passed + r->failed == 0)
        fprintf(stderr, "parity: no golden file was found%s\n", r->only ? " of the kinds asked for" : "");
    return r->failed || !r->passed ? 1 : 0;
}

int main(int argc, char **argv)
{
    runner r = {0};
    int first;

    for (first = 1; first < argc && strncmp(argv[first], "--", 2) == 0; first++) {
        if (strcmp(argv[first], "--help") == 0)
            return printf("%s", usage) < 0;
        if (strcmp(argv[first], "--reference") == 0)
            r.reference = true;
        else if (strcmp(argv[first], "--only") == 0 && first + 1 < argc)
            r.only = argv[++first];
        else
            return wrong_usage("unknown option or missing value: ", argv[first]);
    }
    if (first == argc)
        return wrong_usage("no folder given", "");
    for (int i = first; i < argc; i++) {
        if (!fet__is_folder(argv[i]) && !fet__file_exists(argv[i]))
            return wrong_usage("no such folder: ", argv[i]);
        if (walk(&r, argv[i]) != FET_OK) {
            fprintf(stderr, "parity: %s\n", fet_error_message());
            return 1;
        }
    }
    return finish(&r);
}
