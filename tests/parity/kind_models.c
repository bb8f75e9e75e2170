/* data.models_logits, data.models_pred: the pretrained networks beside the goldens (../../data/weights), opened from their files as a
 * user's are: logits of twenty pictures, and the predicted class of every test picture of a data pack, which is read from the tar. */
#include "parity/parity.h"
#include "train/train.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH = 50, REFERENCE_SHARE = 100 }; /* by the reference kernels one picture in a hundred */

/* ---- models ---------------------------------------------------------------------------------------------- */

/* A file of the data beside the goldens: "weights/resnet20-12fca82f.th". */
static char *data_path(const parity_case *c, const char *folder, const char *name)
{
    char *text = fet__alloc(1, strlen(c->folder) + strlen(folder) + strlen(name) + 32);

    if (text)
        sprintf(text, "%s/../../data/%s%s", c->folder, folder, name);
    return text;
}

typedef struct network {
    fet__model *m;
    fet__step step;
    char name[64]; /* "resnet20": what its results are called */
} network;

static void network_close(network *n)
{
    fet__step_fini(&n->step);
    fet__model_close(n->m);
}

static fet_status network_open(network *n, const parity_case *c, const char *file, int batch)
{
    fet__step_options o = {.batch = batch, .reference = c->reference};
    char *path = data_path(c, "weights/", file);
    fet_status st = path ? fet__model_open(&n->m, path, NULL) : FET_E_NOMEM;

    snprintf(n->name, sizeof n->name, "%.*s", (int)strcspn(file, "-."), file);
    if (st == FET_OK)
        st = fet__step_create(&n->step, n->m, &o);
    fet__free(path);
    return st;
}

typedef fet_status check_fn(parity_case *c, network *n, void *user);

static fet_status each_network(parity_case *c, int batch, check_fn *check, void *user)
{
    char *files = fet__strdup(parity_text(c, "weights", "")), *file, *save = NULL;
    fet_status st = files ? FET_OK : FET_E_NOMEM;

    for (file = files ? strtok_r(files, " ", &save) : NULL; file && st == FET_OK; file = strtok_r(NULL, " ", &save)) {
        network n = {0};
        st = network_open(&n, c, file, batch);
        if (st == FET_OK)
            st = check(c, &n, user);
        network_close(&n);
    }
    fet__free(files);
    return st;
}

/* ---- logits ---------------------------------------------------------------------------------------------- */

static fet_status check_logits(parity_case *c, network *n, void *user)
{
    const fet__entry *e = user;
    int height = (int)e->shape.dim[2], width = (int)e->shape.dim[3];
    int64_t values = 3 * (int64_t)height * width;
    fet__image im = {0};
    char name[96];
    fet_status st;

    if (height != n->m->input.height || width != n->m->input.width)
        return FET_FAIL(FET_E_FORMAT, "%s takes pictures of %dx%d", n->name, n->m->input.height, n->m->input.width);
    FET_TRY(fet__image_create(&im, height, width));
    for (int64_t i = 0; i < e->shape.dim[0]; i++) {
        for (int64_t k = 0; k < values; k++)
            im.pixels[k] = ((const uint8_t *)e->data)[i * values + k % 3 * height * width + k / 3];
        fet__image_normalize(n->step.images + i * values, &im, n->m->input.mean, n->m->input.std);
    }
    FET_TRY(fet__step_compute(&n->step));
    snprintf(name, sizeof name, "out.%s.logits", n->name);
    st = parity_compare(c, name, n->step.logits, FET_F32, e->shape.dim[0] * n->m->arch.classes, PARITY_ABS, 1e-4);
done:
    fet__image_fini(&im);
    return st;
}

fet_status parity_models_logits(parity_case *c)
{
    const fet__entry *e = fet__tensors_find(c->t, "in.rgb_u8_nchw");

    if (!e || e->dtype != FET_U8 || e->shape.rank != 4 || e->shape.dim[1] != 3)
        return FET_FAIL(FET_E_FORMAT, "in.rgb_u8_nchw is absent or no pictures");
    return each_network(c, (int)e->shape.dim[0], check_logits, (void *)(uintptr_t)e);
}

/* ---- predictions ----------------------------------------------------------------------------------------- */

/* The pictures of one folder of a tar, in the order of the archive (its entries are sorted), classes counted from 0. */
typedef struct pictures {
    fet__map map;
    const uint8_t **data;
    size_t *bytes;
    int *label;
    int count;
} pictures;

enum { BLOCK = 512 };

static void pictures_close(pictures *p)
{
    fet__free(p->data);
    fet__free(p->bytes);
    fet__free(p->label);
    fet__map_close(&p->map);
}

/* Walks the archive: calls for each file below `folder` when p->data is there, else only counts. */
static fet_status walk(pictures *p, const char *folder)
{
    const uint8_t *tar = p->map.data;
    size_t at = 0, prefix = strlen(folder), length;
    const char *class_ = NULL;
    int label = -1;

    p->count = 0;
    while (at + BLOCK <= p->map.size && tar[at]) {
        const char *name = (const char *)tar + at;
        size_t bytes = (size_t)strtoull(name + 124, NULL, 8);
        if (bytes > p->map.size - at - BLOCK)
            return FET_FAIL(FET_E_FORMAT, "the archive ends within %.100s", name);
        if (strncmp(name, folder, prefix) == 0 && name[prefix] == '/') {
            length = strcspn(name + prefix + 1, "/");
            if (!class_ || strncmp(class_, name + prefix + 1, length + 1) != 0) {
                class_ = name + prefix + 1;
                label++;
            }
            if (p->data) {
                p->data[p->count] = tar + at + BLOCK;
                p->bytes[p->count] = bytes;
                p->label[p->count] = label;
            }
            p->count++;
        }
        at += BLOCK + (bytes + BLOCK - 1) / BLOCK * BLOCK;
    }
    return FET_OK;
}

static fet_status pictures_open(pictures *p, const parity_case *c)
{
    const char *tar = parity_text(c, "dataset_tar", "");
    char *path = data_path(c, "", strncmp(tar, "data/", 5) == 0 ? tar + 5 : tar);
    fet_status st = path ? fet__map_open(&p->map, path) : FET_E_NOMEM;

    FET_TRY(st);
    FET_TRY(walk(p, parity_text(c, "dataset", "")));
    FET_TRY(FET_NEW(p->bytes, p->count + 1));
    FET_TRY(FET_NEW(p->label, p->count + 1));
    FET_TRY(FET_NEW(p->data, p->count + 1));
    st = walk(p, parity_text(c, "dataset", ""));
done:
    fet__free(path);
    return st;
}

static fet_status feed(const network *n, const pictures *p, int picture, int place)
{
    fet__decode_options o = {.name = "a picture of the archive"};
    int height = n->m->input.height, width = n->m->input.width;
    fet__image im = {0};
    fet_status st = fet__image_decode(&im, p->data[picture], p->bytes[picture], &o);

    if (st == FET_OK && (im.height != height || im.width != width))
        st = FET_FAIL(FET_E_DATA, "picture %d has %dx%d pixels", picture, im.width, im.height);
    if (st == FET_OK)
        fet__image_normalize(n->step.images + (int64_t)place * height * width * 3, &im, n->m->input.mean,
                             n->m->input.std);
    fet__image_fini(&im);
    return st;
}

static int best_of(const float *logits, int classes)
{
    int best = 0;

    for (int k = 1; k < classes; k++)
        best = logits[k] > logits[best] ? k : best;
    return best;
}

static fet_status check_predictions(parity_case *c, network *n, void *user)
{
    const pictures *p = user;
    int share = c->reference ? REFERENCE_SHARE : 1, used = p->count / share, differ = 0;
    const fet__entry *e;
    char name[96];
    fet_status st = FET_OK;

    snprintf(name, sizeof name, "pred.%s", n->name);
    e = fet__tensors_find(c->t, name);
    if (!e || e->dtype != FET_U8 || fet__shape_count(&e->shape) != p->count)
        return FET_FAIL(FET_E_FORMAT, "%s is absent or not of %d pictures", name, p->count);
    for (int from = 0; from < used; from += BATCH) {
        int count = used - from < BATCH ? used - from : BATCH;
        for (int i = 0; i < count; i++)
            FET_TRY(feed(n, p, (from + i) * share, i));
        FET_TRY(fet__step_compute(&n->step));
        for (int i = 0; i < count; i++)
            differ += best_of(n->step.logits + (int64_t)i * n->m->arch.classes, n->m->arch.classes) !=
                      ((const uint8_t *)e->data)[(from + i) * share];
    }
    parity_note(c, name, differ, parity_number(c, "max_differing", 0));
done:
    return st;
}

fet_status parity_models_pred(parity_case *c)
{
    const fet__entry *e = fet__tensors_find(c->t, "label");
    pictures p = {0};
    int wrong = 0;
    fet_status st;

    FET_TRY(pictures_open(&p, c));
    if (!e || e->dtype != FET_U8 || fet__shape_count(&e->shape) != p.count) {
        st = FET_FAIL(FET_E_FORMAT, "label is absent or not of the archive's %d pictures", p.count);
        goto done;
    }
    for (int i = 0; i < p.count; i++)
        wrong += ((const uint8_t *)e->data)[i] != p.label[i];
    parity_note(c, "label", wrong, 0);
    st = each_network(c, BATCH, check_predictions, &p);
done:
    pictures_close(&p);
    return st;
}
