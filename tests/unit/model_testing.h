/* Helpers of the tests of nn/, adapter/ and model/: a small vision transformer, its logits, and the notes
 * that it gave. */
#ifndef MODEL_TESTING_H
#define MODEL_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exec/exec.h"
#include "model/model.h"

#define TINY "vit:dim=12,depth=2,heads=3,patch=4,img=8,mlp=2,classes=5"

/* The message in the log says why. */
#define assert_ok(expr)                                                                                                \
    do {                                                                                                               \
        if ((expr) != FET_OK)                                                                                          \
            fail_msg("%s: %s", #expr, fet_error_message());                                                            \
    } while (0)

/* Fails with that code, and the message holds `text`. */
#define assert_refused(expr, code, text)                                                                               \
    do {                                                                                                               \
        fet_status st_ = (expr);                                                                                       \
        if (st_ != (code))                                                                                             \
            fail_msg("%s gave %d (%s)", #expr, st_, st_ == FET_OK ? "no failure" : fet_error_message());               \
        if (!strstr(fet_error_message(), (text)))                                                                      \
            fail_msg("'%s' is not in: %s", (text), fet_error_message());                                               \
    } while (0)

/* ---- notes ----------------------------------------------------------------------------------------------- */

static char notes[8192];

static void keep_note(void *user, int level, const char *text)
{
    size_t used = strlen(notes);

    (void)user;
    (void)level;
    snprintf(notes + used, sizeof notes - used, "%s\n", text);
}

static inline void listen(void)
{
    notes[0] = '\0';
    fet_set_log(keep_note, NULL);
}

static inline int notes_count(const char *text)
{
    int n = 0;

    for (const char *at = strstr(notes, text); at; at = strstr(at + 1, text))
        n++;
    return n;
}

/* ---- models ---------------------------------------------------------------------------------------------- */

static inline fet__model *tiny(const char *arch)
{
    fet__model_options o = {.arch = arch, .crop_pct = -1, .seed = 5};
    fet__model *m = NULL;

    assert_ok(fet__model_open(&m, "none", &o));
    return m;
}

/* All parameters (or the adapter's alone) become normal numbers; initial zeros would hide mistakes. */
static inline void scatter(fet__model *m, bool adapter_only, double spread)
{
    for (int i = 0; i < fet__params_count(m->store); i++) {
        fet__param *p = fet__params_at(m->store, i);
        fet__init init = {FET__INIT_NORMAL, spread};
        if (p->role != FET__PARAM || (adapter_only && !p->adapter))
            continue;
        assert_ok(fet__param_own(p));
        fet__init_fill(p->data, p->dtype, fet__shape_count(&p->shape), init, 99, p->name);
        p->version++;
    }
}

/* Logits of two noise images, [2, classes] as double; on the reference path (double) or as users run it. */
static inline void logits_of(fet__model *m, bool reference, double *out)
{
    fet_dtype type = reference ? FET_F64 : FET_F32;
    fet__program_options po = {.reference = reference};
    fet__build b = {.dtype = type};
    fet__node *images, *features, *logits;
    fet__program *p = NULL;
    int64_t count = (int64_t)2 * m->arch.height * m->arch.width * 3;
    double *noise = fet__alloc((size_t)count, sizeof *noise);

    assert_non_null(noise);
    assert_ok(fet__graph_create(&b.g));
    images = fet__input(b.g, "images", type, FET_SHAPE(2, m->arch.height, m->arch.width, 3));
    assert_ok(fet__model_build(m, &b, images, &features, &logits));
    fet__output(b.g, "logits", logits);
    assert_ok(fet__program_create(&p, b.g, &po));
    fet__init_fill(noise, FET_F64, count, (fet__init){FET__INIT_NORMAL, 1}, 3, "images");
    fet__convert(fet__program_input(p, "images"), type, noise, FET_F64, count);
    assert_ok(fet__program_run(p));
    fet__convert(out, FET_F64, fet__program_output(p, "logits"), type, (int64_t)2 * m->arch.classes);
    fet__program_destroy(p);
    fet__graph_destroy(b.g);
    fet__free(noise);
}

static inline double largest_difference(const double *a, const double *b, int count)
{
    double most = 0;

    for (int i = 0; i < count; i++)
        most = fmax(most, fabs(a[i] - b[i]));
    return most;
}

/* ---- files ----------------------------------------------------------------------------------------------- */

static char folder[] = "/tmp/fettle-model-XXXXXX";

static inline int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static inline int remove_folder(void **state)
{
    char **names = NULL;
    int count = 0;

    (void)state;
    assert_ok(fet__list_folder(&names, &count, folder));
    for (int i = 0; i < count; i++) {
        char *path = fet__path_join(folder, names[i]);
        remove(path);
        fet__free(path);
    }
    fet__names_free(names, count);
    return rmdir(folder);
}

static inline const char *in_folder(const char *name)
{
    static char path[4][128];
    static int turn;

    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[0], "%s/%s", folder, name);
    return path[turn];
}

#endif
