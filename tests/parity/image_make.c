/* The recipes of the decode and resize goldens; see image_make.h. */
#include "parity/image_make.h"

#include <string.h>

static const float imagenet_mean[3] = {0.485f, 0.456f, 0.406f}, imagenet_std[3] = {0.229f, 0.224f, 0.225f};

typedef struct recipe {
    const char *text;
    char filter[16];
    int n[5], used; /* numbers; characters of text that the scan took */
} recipe;

static fet_status unknown(const char *text)
{
    return FET_FAIL(FET_E_DATA, "unknown recipe %s in the golden file", fet__show(text));
}

/* One picture out of another, which is released. */
static void take(fet__image *im, fet__image *next)
{
    fet__image_fini(im);
    *im = *next;
    memset(next, 0, sizeof *next);
}

static fet_status normalize(image_made *m)
{
    fet_status st;
    size_t pixels = (size_t)m->picture.height * m->picture.width;
    float *flat = NULL;

    FET_TRY(FET_NEW(flat, pixels * 3));
    FET_TRY(FET_NEW(m->planes, pixels * 3));
    fet__image_normalize(flat, &m->picture, imagenet_mean, imagenet_std);
    for (size_t i = 0; i < pixels * 3; i++)
        m->planes[i % 3 * pixels + i / 3] = flat[i];
done:
    fet__free(flat);
    return st;
}

static fet_status make_short(image_made *m, const recipe *r, fet__filter f)
{
    fet_status st;
    fet__image next = {0}, direct = {0};
    int crop, used = 0;
    const char *rest = r->text + r->used;

    FET_TRY(fet__image_resize_short(&next, &m->picture, r->n[0], f));
    if (sscanf(rest, "_center%d%n", &crop, &used) == 1 && used > 0) {
        FET_TRY(fet__image_resize_short_crop(&direct, &m->picture, r->n[0], crop, crop, f));
        take(&m->picture, &next);
        FET_TRY(fet__image_center_crop(&next, &m->picture, crop, crop));
        if (next.height != direct.height || next.width != direct.width ||
            memcmp(next.pixels, direct.pixels, (size_t)crop * crop * 3) != 0) {
            st = FET_FAIL(FET_E_VERIFY, "resize with crop differs from resize, then crop");
            goto done;
        }
        rest += used;
    }
    take(&m->picture, &next);
    if (strcmp(rest, "_normalized_chw") == 0)
        st = normalize(m);
    else if (*rest)
        st = unknown(r->text);
done:
    fet__image_fini(&next);
    fet__image_fini(&direct);
    return st;
}

static fet_status make_box(image_made *m, const recipe *r, fet__filter f)
{
    fet__image next = {0};
    fet_status st = fet__image_resize(&next, &m->picture, r->n[0], r->n[1], r->n[2], r->n[3], r->n[4], r->n[4], f);

    if (st == FET_OK)
        take(&m->picture, &next);
    return st;
}

static fet_status make_size(image_made *m, const recipe *r, fet__filter f)
{
    fet__image next = {0};
    fet_status st =
        fet__image_resize(&next, &m->picture, 0, 0, m->picture.height, m->picture.width, r->n[0], r->n[1], f);

    if (st == FET_OK)
        take(&m->picture, &next);
    return st;
}

static fet_status follow(image_made *m, const char *text)
{
    recipe r = {.text = text};
    fet__filter f;
    fet_status (*step)(image_made *, const recipe *, fet__filter) = NULL;
    int *n = r.n;

    if (strcmp(text, "rgb") == 0 || strcmp(text, "rgb_upright") == 0)
        return FET_OK;
    if (sscanf(text, "short%d_%15[a-z]%n", &n[0], r.filter, &r.used) == 2)
        step = make_short;
    else if (sscanf(text, "rrc_%d_%d_%d_%d_%15[a-z]_%d", &n[0], &n[1], &n[2], &n[3], r.filter, &n[4]) == 6)
        step = make_box;
    else if (sscanf(text, "%15[a-z]_%dx%d", r.filter, &n[0], &n[1]) == 3)
        step = make_size;
    return step && fet__filter_parse(r.filter, &f) ? step(m, &r, f) : unknown(text);
}

fet_status image_make(image_made *out, const char *folder, const char *name)
{
    fet_status st;
    const char *slash = strrchr(name, '/');
    char *file = NULL, *path = NULL;
    fet__decode_options o = {0};

    memset(out, 0, sizeof *out);
    if (!slash)
        return unknown(name);
    file = fet__strndup(name, (size_t)(slash - name));
    path = file ? fet__path_join(folder, file) : NULL;
    if (!path) {
        st = FET_E_NOMEM;
        goto done;
    }
    o.ignore_exif = strcmp(slash, "/rgb") == 0;
    FET_TRY(fet__image_read(&out->picture, path, &o));
    FET_TRY(follow(out, slash + 1));
    out->height = out->picture.height;
    out->width = out->picture.width;
done:
    if (st != FET_OK)
        image_made_fini(out);
    fet__free(file);
    fet__free(path);
    return st;
}

void image_made_fini(image_made *m)
{
    fet__image_fini(&m->picture);
    fet__free(m->planes);
    memset(m, 0, sizeof *m);
}
