/* fet_reid_evaluate: queries against a gallery by the rules of re-identification (spcl.md, section 8): junk of the same camera left out, mean average
 * precision, the match curve. Distances are made for some queries at a time. */
#include "method/reid_int.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define EVAL_BATCH 64
#define QUERIES_AT_ONCE 64
#define RERANK_K1 20
#define RERANK_K2 6
#define RERANK_LAMBDA 0.3

typedef struct evaluation {
    const fet__reid_set *set;
    int queries, entries;
    int64_t width;
    bool same;              /* query and gallery are the same images */
    float *query, *gallery; /* features; equal when `same` */
    fet__retrieval_view *query_view, *view;
    fet__retrieval_options options;
    fet__retrieval *metric;
} evaluation;

bool fet__reid_can_evaluate(const fet__reid_set *s)
{
    const fet__reid_image *g = s->images[FET__REID_GALLERY];

    if (s->count[FET__REID_QUERY] == 0 || s->count[FET__REID_GALLERY] == 0)
        return false;
    for (int i = 1; i < s->count[FET__REID_GALLERY]; i++)
        if (g[i].id != g[0].id)
            return true;
    return false;
}

static bool same_images(const fet__reid_set *s)
{
    int n = s->count[FET__REID_QUERY];

    if (n != s->count[FET__REID_GALLERY])
        return false;
    for (int i = 0; i < n; i++)
        if (strcmp(s->images[FET__REID_QUERY][i].path, s->images[FET__REID_GALLERY][i].path) != 0)
            return false;
    return true;
}

static fet_status views(fet__retrieval_view **out, const fet__reid_image *images, int count)
{
    fet_status st = FET_NEW(*out, count);

    for (int i = 0; i < count && st == FET_OK; i++)
        (*out)[i] = (fet__retrieval_view){images[i].id, images[i].camera};
    return st;
}

static fet_status open_evaluation(evaluation *e, fet_model *m, const fet__reid_set *s, const fet_reid_eval_options *o)
{
    int batch = o->batch > 0 ? o->batch : EVAL_BATCH;
    fet_status st;

    e->set = s;
    e->queries = s->count[FET__REID_QUERY];
    e->entries = s->count[FET__REID_GALLERY];
    e->width = m->m->arch.feature_size;
    if (e->queries == 0 || e->entries == 0)
        return FET_FAIL(FET_E_DATA, "%s: %d query and %d gallery images (format %s): there is nothing to evaluate",
                        fet__show(s->root), e->queries, e->entries, s->format);
    e->same = same_images(s);
    e->options = (fet__retrieval_options){.curve = FET__REID_CURVE};
    FET_TRY(FET_NEW(e->gallery, e->entries * e->width));
    FET_TRY(fet__reid_image_features(m, s->images[FET__REID_GALLERY], e->entries, batch, o->memory, e->gallery));
    e->query = e->gallery;
    if (!e->same) {
        e->query = NULL;
        FET_TRY(FET_NEW(e->query, e->queries * e->width));
        FET_TRY(fet__reid_image_features(m, s->images[FET__REID_QUERY], e->queries, batch, o->memory, e->query));
    }
    FET_TRY(views(&e->query_view, s->images[FET__REID_QUERY], e->queries));
    FET_TRY(views(&e->view, s->images[FET__REID_GALLERY], e->entries));
    FET_TRY(fet__retrieval_create(&e->metric, &e->options));
done:
    return st;
}

static void evaluation_fini(evaluation *e)
{
    if (!e->same)
        fet__free(e->query);
    fet__free(e->gallery);
    fet__free(e->query_view);
    fet__free(e->view);
    fet__retrieval_destroy(e->metric);
}

/* ---- what a report shows ---------------------------------------------------------------------------------------------- */

static bool is_junk(const evaluation *e, int query, int entry)
{
    return e->query_view[query].id == e->view[entry].id && e->query_view[query].camera == e->view[entry].camera;
}

static void keep_ranking(const evaluation *e, fet__reid_ranking *r, int query, const float *distance)
{
    float kept[FET_COUNT(r->entry)];
    int most = (int)FET_COUNT(r->entry);

    r->query = query;
    r->count = 0;
    for (int g = 0; g < e->entries; g++) {
        int at = r->count;
        if (is_junk(e, query, g) || (at == most && !(distance[g] < kept[most - 1])))
            continue;
        at = at == most ? most - 1 : at;
        for (; at > 0 && distance[g] < kept[at - 1]; at--) {
            kept[at] = kept[at - 1];
            r->entry[at] = r->entry[at - 1];
        }
        kept[at] = distance[g];
        r->entry[at] = g;
        r->count += r->count < most;
    }
    for (int k = 0; k < r->count; k++)
        r->right[k] = e->view[r->entry[k]].id == e->query_view[query].id;
}

/* Queries that are shown are spread evenly over all. */
static fet_status score_rows(evaluation *e, fet__reid_found *out, int first, int count, const float *distance)
{
    fet_status st = FET_OK;

    for (int i = 0; i < count && st == FET_OK; i++) {
        int q = first + i;
        const float *row = distance + (int64_t)i * e->entries;
        st = fet__retrieval_add(e->metric, &e->query_view[q], row, e->view, e->entries, NULL);
        if (out->shown && out->shown_count < FET__REID_SHOWN &&
            q == (int)((int64_t)out->shown_count * e->queries / FET__REID_SHOWN))
            keep_ranking(e, &out->shown[out->shown_count++], q, row);
    }
    return st;
}

/* ---- scores --------------------------------------------------------------------------------------------------------- */

static fet_status score_plain(evaluation *e, fet__reid_found *out)
{
    float *distance = NULL;
    fet_status st;

    FET_TRY(FET_NEW(distance, (int64_t)QUERIES_AT_ONCE * e->entries));
    for (int first = 0; first < e->queries; first += QUERIES_AT_ONCE) {
        int count = e->queries - first < QUERIES_AT_ONCE ? e->queries - first : QUERIES_AT_ONCE;
        FET_TRY(fet__row_distances(distance, e->query + first * e->width, count, e->gallery, e->entries, e->width));
        FET_TRY(score_rows(e, out, first, count, distance));
    }
done:
    fet__free(distance);
    return st;
}

static fet_status score_reranked(evaluation *e, fet__reid_found *out)
{
    float *distance = NULL;
    fet_status st;

    FET_TRY(FET_NEW(distance, (int64_t)e->queries * e->entries));
    FET_TRY(fet__rerank(distance, e->query, e->queries, e->gallery, e->entries, e->width, RERANK_K1, RERANK_K2,
                        RERANK_LAMBDA));
    st = score_rows(e, out, 0, e->queries, distance);
done:
    fet__free(distance);
    return st;
}

static fet_status fill(const evaluation *e, fet__reid_found *out)
{
    fet_reid_scores *s = &out->scores;
    fet_status st;

    s->gallery = e->entries;
    s->queries = fet__retrieval_queries(e->metric);
    s->skipped = fet__retrieval_skipped(e->metric);
    st = fet__retrieval_result(e->metric, &s->map, out->curve);
    if (st != FET_OK)
        return fet__fail_in(st, "%s", fet__show(e->set->root));
    if (s->skipped)
        fet__note("%lld of %d queries have no match in the gallery and count nowhere", (long long)s->skipped,
                  e->queries);
    s->rank1 = out->curve[0];
    s->rank5 = out->curve[4];
    s->rank10 = out->curve[9];
    return FET_OK;
}

fet_status fet__reid_score(fet__reid_found *out, fet_model *m, const fet__reid_set *s, const fet_reid_eval_options *o)
{
    evaluation e = {0};
    fet_status st;

    out->shown_count = 0;
    FET_TRY(open_evaluation(&e, m, s, o));
    FET_TRY(o->rerank ? score_reranked(&e, out) : score_plain(&e, out));
    st = fill(&e, out);
done:
    evaluation_fini(&e);
    return st;
}

fet_status fet_reid_evaluate(fet_model *m, const char *data, const fet_reid_eval_options *o, fet_reid_scores *out)
{
    static const fet_reid_eval_options none;
    fet__reid_options options = {0};
    fet__reid_set set = {0};
    fet__reid_found found = {0};
    fet_status st;

    if (!m || !data || !out)
        return FET_FAIL(FET_E_ARG, "fet_reid_evaluate: model, data or result is absent");
    o = o ? o : &none;
    memset(out, 0, sizeof *out);
    options = (fet__reid_options){.format = o->format, .test_size = o->test_size, .seed = o->seed};
    FET_TRY(fet__reid_open(&set, data, &options));
    FET_TRY(fet__reid_score(&found, m, &set, o));
    *out = found.scores;
done:
    fet__reid_fini(&set);
    return st;
}
