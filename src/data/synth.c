/* `data synth`: OUT/DOMAIN/{train,val}/CLASS/NNNN.png, pictures of synth_shapes.c. Each picture depends on the seed and on
 * its own path alone: not on the thread count, nor on how many others there are. OUT appears as a whole or not at all:
 * it is built under a temporary name beside it. */
#include "data/data_int.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define MAX_SIDE 2048
#define MIN_SIDE 8
#define MAX_PER_CLASS 100000

/* Pictures are numbered: domain, then split, then class, then number within the class. */
struct synth {
    fet__synth_options o;
    const char *folder; /* the temporary name */
    int64_t per_domain, count;
    atomic_int failed; /* a worker has set failure and message */
    fet_status failure;
    char message[1024];
};

struct place {
    int domain, shape, number;
    fet__split split;
};

static struct place place_of(const struct synth *s, int64_t i)
{
    struct place p = {.domain = (int)(i / s->per_domain)};
    int64_t rest = i % s->per_domain, train = (int64_t)s->o.classes * s->o.per_class;
    p.split = rest < train ? FET__TRAIN : FET__VAL;
    int per_class = p.split == FET__TRAIN ? s->o.per_class : s->o.val_per_class;
    rest -= p.split == FET__TRAIN ? 0 : train;
    p.shape = s->o.first_class + (int)(rest / per_class);
    p.number = (int)(rest % per_class);
    return p;
}

/* DOMAIN/SPLIT/CLASS */
static void folder_name(char *out, size_t size, const struct place *p)
{
    snprintf(out, size, "%s/%s/%s", fet__style_names[p->domain], fet__split_name(p->split), fet__shape_names[p->shape]);
}

static fet_status draw_file(const struct synth *s, int64_t i)
{
    struct place p = place_of(s, i);
    char folder[64];
    fet__image im = {0};
    fet_status st;
    folder_name(folder, sizeof folder, &p);
    char *path = fet__format("%s/%s/%04d.png", s->folder, folder, p.number);
    if (!path)
        return FET_E_NOMEM;
    FET_TRY(fet__image_create(&im, s->o.size, s->o.size));
    fet__rng r = {.seed = s->o.seed, .stream = fet__hash32(folder), .step = (uint32_t)p.number};
    fet__shape_draw(&im, p.shape, p.domain, &r);
    FET_TRY(fet__image_write_png(path, &im));
done:
    fet__image_fini(&im);
    fet__free(path);
    return st;
}

static void draw_one(void *user, int worker, int64_t i)
{
    struct synth *s = user;
    (void)worker;
    if (atomic_load(&s->failed))
        return;
    fet_status st = draw_file(s, i);
    int none = 0;
    if (st == FET_OK || !atomic_compare_exchange_strong(&s->failed, &none, 1))
        return;
    s->failure = st;
    snprintf(s->message, sizeof s->message, "%s", fet_error_message());
}

/* ---- folders --------------------------------------------------------------------------------------------- */

/* Call `fn` for every class folder of the result, by its full path; stops at a failure. */
static fet_status for_folders(const struct synth *s,
                              fet_status (*fn)(const struct synth *s, const char *path, int per_class))
{
    fet_status st = FET_OK;
    for (int d = 0; d < s->o.domains; d++) {
        for (int k = 0; k < s->o.classes * 2; k++) {
            struct place p = {.domain = d, .shape = s->o.first_class + k / 2, .split = k % 2 ? FET__VAL : FET__TRAIN};
            char name[64];
            folder_name(name, sizeof name, &p);
            char *path = fet__path_join(s->folder, name);
            if (!path)
                return FET_E_NOMEM;
            st = fn(s, path, k % 2 ? s->o.val_per_class : s->o.per_class);
            fet__free(path);
            if (st != FET_OK)
                return st;
        }
    }
    return st;
}

static fet_status make_class_folder(const struct synth *s, const char *path, int per_class)
{
    (void)s;
    (void)per_class;
    return fet__make_folder(path);
}

/* Removes what exists of one class folder and, where they became empty, those around it. */
static fet_status remove_class_folder(const struct synth *s, const char *path, int per_class)
{
    char *name = fet__format("%s/-0000000000.png", path), *end = name ? name + strlen(path) + 1 : NULL;
    if (!name)
        return FET_E_NOMEM;
    for (int i = 0; i < per_class; i++) {
        snprintf(end, sizeof "-0000000000.png", "%04d.png", i);
        unlink(name);
    }
    for (size_t length = strlen(path); length >= strlen(s->folder); length--) {
        if (name[length] != '/' && name[length] != '\0')
            continue;
        name[length] = '\0';
        if (rmdir(name) != 0)
            break;
    }
    fet__free(name);
    return FET_OK;
}

/* ---- options --------------------------------------------------------------------------------------------- */

static fet_status fill_options(fet__synth_options *to, const fet__synth_options *o)
{
    *to = *o;
    to->classes = o->classes ? o->classes : 5;
    to->domains = o->domains ? o->domains : 2;
    to->per_class = o->per_class ? o->per_class : 60;
    to->val_per_class = o->val_per_class ? o->val_per_class : 20;
    to->size = o->size ? o->size : 32;
    if (to->classes < 2 || to->first_class < 0 || to->classes > FET__SHAPES - to->first_class)
        return FET_FAIL(FET_E_ARG, "%d classes from number %d on: there are %d shapes, and it takes two classes",
                        to->classes, to->first_class, FET__SHAPES);
    if (to->domains < 1 || to->domains > FET__STYLES)
        return FET_FAIL(FET_E_ARG, "%d domains; 1 to %d are possible", to->domains, FET__STYLES);
    if (to->per_class < 1 || to->val_per_class < 1 || to->per_class > MAX_PER_CLASS ||
        to->val_per_class > MAX_PER_CLASS)
        return FET_FAIL(FET_E_ARG, "%d training and %d validation images a class; 1 to %d are possible", to->per_class,
                        to->val_per_class, MAX_PER_CLASS);
    if (to->size < MIN_SIDE || to->size > MAX_SIDE)
        return FET_FAIL(FET_E_ARG, "an image size of %d; %d to %d are possible", to->size, MIN_SIDE, MAX_SIDE);
    return FET_OK;
}

static fet_status draw_all(struct synth *s, const char *out)
{
    fet_status st = for_folders(s, make_class_folder);
    if (st != FET_OK)
        return st;
    fet__each(s->count, fet__threads(), draw_one, s);
    if (atomic_load(&s->failed))
        return fet__fail_take(s->failure, s->message);
    if (rename(s->folder, out) != 0)
        return FET_FAIL(FET_E_IO, "cannot create %s: %s", fet__show(out), strerror(errno));
    return FET_OK;
}

fet_status fet__synth_folders(const char *out, char **target, char **part)
{
    size_t length = strlen(out);
    while (length > 1 && out[length - 1] == '/')
        length--;
    *target = fet__strndup(out, length);
    *part = fet__format("%.*s.part-%ld", (int)length, out, (long)getpid());
    if (!*target || !*part)
        return FET_E_NOMEM;
    if (fet__file_exists(*target))
        return FET_FAIL(FET_E_ARG, "%s exists; synthetic data goes to a new folder", fet__show(*target));
    return FET_OK;
}

fet_status fet__synth(const char *out, const fet__synth_options *o, int64_t *images)
{
    static const fet__synth_options defaults;
    struct synth s = {.failure = FET_OK};
    char *target = NULL, *folder = NULL;
    fet_status st = fill_options(&s.o, o ? o : &defaults);
    if (st != FET_OK)
        return st;
    FET_TRY(fet__synth_folders(out, &target, &folder));
    s.folder = folder;
    s.per_domain = (int64_t)s.o.classes * (s.o.per_class + s.o.val_per_class);
    s.count = s.per_domain * s.o.domains;
    st = draw_all(&s, target);
    if (st != FET_OK) /* the message stays: the removal sets none that is kept */
        for_folders(&s, remove_class_folder);
    else if (images)
        *images = s.count;
done:
    fet__free(target);
    fet__free(folder);
    return st;
}
