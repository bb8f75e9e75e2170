/* `data synth --kind reid`: figures of two domains seen by several cameras, as plain sets of re-identification:
 * OUT/DOMAIN/{train,query,gallery}/ID/CAMERA_NN.png. What a figure wears is a function of its identity; light, blur and background are the camera's; place,
 * size and pose change from picture to picture. The two domains have other identities, other palettes and other cameras. Each picture depends on the
 * seed and its own path alone. OUT appears as a whole or not at all.
 *
 *     head       a disc, with or without a hat
 *     body       a colour, striped, with a band or plain; perhaps a bag
 *     legs       a colour, long or short */
#include "data/data_int.h"

#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define DOMAINS 2
#define GRID 3 /* sub-pixels a side */
#define MOST 100000
#define MIN_WIDTH 16
#define MAX_WIDTH 512

static const char *const domain_names[DOMAINS] = {"source", "target"};

typedef struct wear {
    double skin[3], body[3], second[3], legs[3], hat[3], bag[3];
    int pattern; /* 0 plain, 1 stripes across, 2 stripes down, 3 a band */
    bool has_hat, has_bag, shorts;
    double width, stripes;
} wear;

typedef struct camera {
    double light[3], low[3], high[3]; /* factors of the colours; background at the top and at the bottom */
    double blur, tile;
} camera;

typedef struct pose {
    double x, y, size, lean, side;
} pose;

typedef struct synth {
    fet__synth_reid_options o;
    const char *folder;
    int64_t per_identity, per_domain, count;
    atomic_int failed;
    fet_status failure;
    char message[1024];
} synth;

/* ---- what is drawn ---------------------------------------------------------------------------------------------------- */

/* The second domain's colours are paler and begin elsewhere. */
static void colour(double out[3], fet__rng *r, int domain)
{
    for (int k = 0; k < 3; k++)
        out[k] = domain ? fet__rng_uniform(r, 0.35, 0.9) : fet__rng_uniform(r, 0.05, 0.95);
}

static wear wear_of(uint64_t seed, int domain, int identity)
{
    fet__rng r = {.seed = seed, .stream = fet__hash32("reid.wear") + (uint32_t)domain, .step = (uint32_t)identity};
    wear w;
    double tone = fet__rng_uniform(&r, 0.35, 0.9);
    for (int k = 0; k < 3; k++)
        w.skin[k] = tone * (k == 0 ? 1 : k == 1 ? 0.8 : 0.65);
    colour(w.body, &r, domain);
    colour(w.second, &r, domain);
    colour(w.legs, &r, domain);
    colour(w.hat, &r, domain);
    colour(w.bag, &r, domain);
    w.pattern = (int)fet__rng_int(&r, 0, 3);
    w.has_hat = fet__rng_uniform(&r, 0, 1) < 0.4;
    w.has_bag = fet__rng_uniform(&r, 0, 1) < 0.4;
    w.shorts = fet__rng_uniform(&r, 0, 1) < 0.3;
    w.width = fet__rng_uniform(&r, 0.2, 0.32);
    w.stripes = fet__rng_uniform(&r, 3, 7);
    return w;
}

static camera camera_of(uint64_t seed, int domain, int number)
{
    fet__rng r = {.seed = seed, .stream = fet__hash32("reid.camera") + (uint32_t)domain, .step = (uint32_t)number};
    camera c;
    for (int k = 0; k < 3; k++) {
        c.light[k] = domain ? fet__rng_uniform(&r, 0.45, 0.85) : fet__rng_uniform(&r, 0.75, 1.2);
        c.low[k] = fet__rng_uniform(&r, 0.1, 0.9);
        c.high[k] = fet__rng_uniform(&r, 0.1, 0.9);
    }
    c.blur = fet__rng_uniform(&r, 0, domain ? 0.03 : 0.015); /* of the picture's width */
    c.tile = fet__rng_uniform(&r, 2, 6);
    return c;
}

static pose pose_of(fet__rng *r)
{
    pose p;
    p.x = fet__rng_uniform(r, -0.12, 0.12);
    p.y = fet__rng_uniform(r, -0.08, 0.08);
    p.size = fet__rng_uniform(r, 0.8, 1.0);
    p.lean = fet__rng_uniform(r, -0.12, 0.12);
    p.side = fet__rng_uniform(r, 0, 1) < 0.5 ? -1 : 1;
    return p;
}

static void take(double out[3], const double c[3])
{
    memcpy(out, c, 3 * sizeof *out);
}

static const double *body_colour(const wear *w, double u, double v)
{
    double wave = w->pattern == 1 ? v * w->stripes * 4 : u * w->stripes * 4;
    if (w->pattern == 0 || (w->pattern == 3 && fabs(v + 0.2) > 0.12))
        return w->body;
    return w->pattern == 3 || sin(wave) > 0 ? w->second : w->body;
}

/* Colour at (x, y) of [-0.5, 0.5] x [-1, 1], y downwards; false: no figure there. */
static bool figure_at(double out[3], const wear *w, const pose *p, double x, double y)
{
    double v = (y - p->y) / p->size, u = (x - p->x) / p->size - p->lean * v;
    double head = hypot(u, v + 0.68);
    if (w->has_hat && v > -0.92 && v < -0.76 && fabs(u) < 0.16)
        take(out, w->hat);
    else if (head < 0.17)
        take(out, w->skin);
    else if (w->has_bag && hypot(u - p->side * w->width, v - 0.05) < 0.13)
        take(out, w->bag);
    else if (v > -0.5 && v < 0.1 && fabs(u) < w->width)
        take(out, body_colour(w, u, v));
    else if (v >= 0.1 && v < 0.9 && fabs(u) < w->width * 0.9 && fabs(u) > 0.03)
        take(out, w->shorts && v > 0.45 ? w->skin : w->legs);
    else
        return false;
    return true;
}

static void background_at(double out[3], const camera *c, double x, double y)
{
    double t = (y + 1) / 2, check = sin(x * c->tile * 4) * sin(y * c->tile * 2) > 0 ? 0.06 : -0.06;
    for (int k = 0; k < 3; k++)
        out[k] = c->low[k] + (c->high[k] - c->low[k]) * t + check;
}

static uint8_t byte_of(double v)
{
    return (uint8_t)(v <= 0 ? 0 : v >= 1 ? 255 : v * 255 + 0.5);
}

static void draw(fet__image *im, const wear *w, const camera *c, const pose *p)
{
    for (int y = 0; y < im->height; y++)
        for (int x = 0; x < im->width; x++) {
            double sum[3] = {0}, one[3];
            for (int i = 0; i < GRID * GRID; i++) {
                double at_x = (x + (i % GRID + 0.5) / GRID) / im->width - 0.5;
                double at_y = 2 * (y + ((double)(i / GRID) + 0.5) / GRID) / im->height - 1; /* NOLINT: whole rows */
                if (!figure_at(one, w, p, at_x, at_y))
                    background_at(one, c, at_x, at_y);
                for (int k = 0; k < 3; k++)
                    sum[k] += one[k] * c->light[k];
            }
            for (int k = 0; k < 3; k++)
                im->pixels[((size_t)y * (size_t)im->width + (size_t)x) * 3 + (size_t)k] =
                    byte_of(sum[k] / (GRID * GRID));
        }
}

/* ---- files -------------------------------------------------------------------------------------------------------------- */

/* Pictures are numbered: domain, then identity, then camera, then number. The first half of the identities is for training; of the others each
 * camera's first picture is a query. */
typedef struct place {
    int domain, identity, camera, number;
    fet__reid_role role;
} place;

static place place_of(const synth *s, int64_t i)
{
    place p = {.domain = (int)(i / s->per_domain)};
    int64_t rest = i % s->per_domain;
    p.identity = (int)(rest / s->per_identity);
    rest %= s->per_identity;
    p.camera = (int)(rest / s->o.per_camera);
    p.number = (int)(rest % s->o.per_camera);
    p.role = p.identity < s->o.identities / 2 ? FET__REID_TRAIN : p.number == 0 ? FET__REID_QUERY : FET__REID_GALLERY;
    return p;
}

static char *folder_of(const synth *s, const place *p)
{
    return fet__format("%s/%s/%s/%05d", s->folder, domain_names[p->domain], fet__reid_role_name(p->role), p->identity);
}

static char *file_of(const synth *s, const place *p)
{
    return fet__format("%s/%s/%s/%05d/c%d_%03d.png", s->folder, domain_names[p->domain], fet__reid_role_name(p->role),
                       p->identity, p->camera + 1, p->number);
}

static fet_status draw_file(const synth *s, int64_t i)
{
    place p = place_of(s, i);
    wear w = wear_of(s->o.seed, p.domain, p.identity);
    camera c = camera_of(s->o.seed, p.domain, p.camera);
    fet__rng r = {.seed = s->o.seed, .stream = fet__hash32("reid.pose"), .step = (uint32_t)i};
    pose at = pose_of(&r);
    char *path = file_of(s, &p);
    fet__image im = {0};
    fet_status st = path ? FET_OK : FET_E_NOMEM;
    FET_TRY(st);
    FET_TRY(fet__image_create(&im, 2 * s->o.width, s->o.width));
    draw(&im, &w, &c, &at);
    FET_TRY(fet__image_blur_box(&im, c.blur * s->o.width));
    FET_TRY(fet__image_write_png(path, &im));
done:
    fet__image_fini(&im);
    fet__free(path);
    return st;
}

static void draw_one(void *user, int worker, int64_t i)
{
    synth *s = user;
    int none = 0;
    fet_status st;
    (void)worker;
    if (atomic_load(&s->failed))
        return;
    st = draw_file(s, i);
    if (st == FET_OK || !atomic_compare_exchange_strong(&s->failed, &none, 1))
        return;
    s->failure = st;
    snprintf(s->message, sizeof s->message, "%s", fet_error_message());
}

static fet_status make_folders(const synth *s)
{
    fet_status st = FET_OK;
    for (int64_t i = 0; i < s->count && st == FET_OK; i++) {
        place p = place_of(s, i);
        char *folder = p.number > 1 || p.camera > 0 ? NULL : folder_of(s, &p);
        if (folder)
            st = fet__make_folder(folder);
        else if (p.number <= 1 && p.camera == 0)
            st = FET_E_NOMEM;
        fet__free(folder);
    }
    return st;
}

/* Takes away what was made; folders go when they are empty. */
static void remove_all(const synth *s)
{
    for (int64_t i = s->count - 1; i >= 0; i--) {
        place p = place_of(s, i);
        char *path = file_of(s, &p);
        if (path && unlink(path) == 0) {
            for (char *slash = strrchr(path, '/'); slash && strlen(path) > strlen(s->folder);
                 slash = strrchr(path, '/')) {
                *slash = '\0';
                if (rmdir(path) != 0)
                    break;
            }
        }
        fet__free(path);
    }
}

static fet_status check(synth *s, const fet__synth_reid_options *o)
{
    s->o = *o;
    s->o.identities = o->identities ? o->identities : 40;
    s->o.cameras = o->cameras ? o->cameras : 4;
    s->o.per_camera = o->per_camera ? o->per_camera : 3;
    s->o.width = o->width ? o->width : 32;
    if (s->o.identities < 4 || s->o.identities > MOST)
        return FET_FAIL(FET_E_ARG, "%d identities; 4 to %d are possible", s->o.identities, MOST);
    if (s->o.cameras < 1 || s->o.cameras > 64)
        return FET_FAIL(FET_E_ARG, "%d cameras; 1 to 64 are possible", s->o.cameras);
    if (s->o.per_camera < 2 || s->o.per_camera > 1000)
        return FET_FAIL(FET_E_ARG, "%d images of an identity by a camera; 2 to 1000 are possible", s->o.per_camera);
    if (s->o.width < MIN_WIDTH || s->o.width > MAX_WIDTH)
        return FET_FAIL(FET_E_ARG, "a width of %d pixels; %d to %d are possible", s->o.width, MIN_WIDTH, MAX_WIDTH);
    s->per_identity = (int64_t)s->o.cameras * s->o.per_camera;
    s->per_domain = s->per_identity * s->o.identities;
    s->count = s->per_domain * DOMAINS;
    return FET_OK;
}

static fet_status make(synth *s, const char *out)
{
    fet_status st = make_folders(s);
    if (st != FET_OK)
        return st;
    fet__each(s->count, fet__threads(), draw_one, s);
    if (atomic_load(&s->failed))
        return fet__fail_take(s->failure, s->message);
    if (rename(s->folder, out) != 0)
        return FET_FAIL(FET_E_IO, "cannot create %s: %s", fet__show(out), strerror(errno));
    return FET_OK;
}

fet_status fet__synth_reid(const char *out, const fet__synth_reid_options *o, int64_t *images)
{
    synth s = {.failure = FET_OK};
    char *target = NULL, *folder = NULL;
    fet_status st = check(&s, o);
    if (st != FET_OK)
        return st;
    FET_TRY(fet__synth_folders(out, &target, &folder));
    s.folder = folder;
    st = make(&s, target);
    if (st != FET_OK)
        remove_all(&s);
    else
        *images = s.count;
done:
    fet__free(target);
    fet__free(folder);
    return st;
}
