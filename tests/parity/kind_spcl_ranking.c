/* spcl.ranking and spcl.ranking_ties: retrieval metrics in the reference's and the toolbox's conventions, and re-ranking. */
#include <math.h>
#include <string.h>

#include "cluster/cluster.h"
#include "metric/metric.h"
#include "parity/parity.h"

typedef struct gallery {
    float *dist, *query_features, *gallery_features;
    fet__retrieval_view *query, *entry;
    int64_t queries, entries;
} gallery;

static void gallery_fini(gallery *g)
{
    fet__free(g->dist);
    fet__free(g->query_features);
    fet__free(g->gallery_features);
    fet__free(g->query);
    fet__free(g->entry);
}

static fet_status load_floats(const parity_case *c, const char *name, float **out, int64_t *count)
{
    double *values = NULL;
    fet_status st = parity_doubles(c, name, &values, count);
    if (st != FET_OK)
        return st;
    FET_TRY(FET_NEW(*out, *count));
    for (int64_t i = 0; i < *count; i++)
        (*out)[i] = (float)values[i];
done:
    fet__free(values);
    return st;
}

static fet_status load_views(const parity_case *c, const char *ids, const char *cameras, fet__retrieval_view **out,
                             int64_t *count)
{
    double *id = NULL, *camera = NULL;
    int64_t n;
    fet_status st;
    FET_TRY(parity_doubles(c, ids, &id, count));
    FET_TRY(parity_doubles(c, cameras, &camera, &n));
    if (n != *count) {
        st = FET_FAIL(FET_E_FORMAT, "%s and %s differ in length", ids, cameras);
        goto done;
    }
    FET_TRY(FET_NEW(*out, n));
    for (int64_t i = 0; i < n; i++)
        (*out)[i] = (fet__retrieval_view){(int64_t)id[i], (int32_t)camera[i]};
done:
    fet__free(id);
    fet__free(camera);
    return st;
}

static fet_status load(const parity_case *c, gallery *g)
{
    int64_t count;
    fet_status st;
    FET_TRY(load_floats(c, "in.dist", &g->dist, &count));
    FET_TRY(load_views(c, "in.query_ids", "in.query_cams", &g->query, &g->queries));
    FET_TRY(load_views(c, "in.gallery_ids", "in.gallery_cams", &g->entry, &g->entries));
    if (count != g->queries * g->entries)
        st = FET_FAIL(FET_E_FORMAT, "in.dist is not queries x gallery");
done:
    return st;
}

/* Rank all queries by `dist`; any of the names may be NULL. */
static fet_status rank(parity_case *c, const gallery *g, const float *dist, fet__retrieval_options o,
                       const char *map_name, const char *cmc_name, const char *ap_name)
{
    fet__retrieval *r = NULL;
    double *ap = NULL, *curve = NULL, map;
    fet_status st;
    const fet__entry *e = cmc_name ? fet__tensors_find(c->t, cmc_name) : NULL;
    o.curve = e ? (int)e->shape.dim[0] : 100;
    FET_TRY(FET_NEW(ap, g->queries));
    FET_TRY(FET_NEW(curve, o.curve));
    FET_TRY(fet__retrieval_create(&r, &o));
    for (int64_t q = 0; q < g->queries; q++)
        FET_TRY(fet__retrieval_add(r, &g->query[q], dist + q * g->entries, g->entry, g->entries, &ap[q]));
    FET_TRY(fet__retrieval_result(r, &map, curve));
    if (map_name)
        FET_TRY(
            parity_compare_one(c, map_name, map, PARITY_ABS, strcmp(map_name, "out.rerank_mAP") == 0 ? 1e-4 : 1e-6));
    if (cmc_name)
        FET_TRY(parity_compare(c, cmc_name, curve, FET_F64, o.curve, PARITY_ABS, 1e-6));
    if (ap_name)
        FET_TRY(parity_compare(c, ap_name, ap, FET_F64, g->queries, PARITY_ABS, 1e-6));
done:
    fet__retrieval_destroy(r);
    fet__free(ap);
    fet__free(curve);
    return st;
}

static fet_status check_rerank(parity_case *c, gallery *g)
{
    float *dist = NULL;
    int64_t count, width;
    fet_status st;
    FET_TRY(load_floats(c, "in.query_features", &g->query_features, &count));
    width = count / g->queries;
    FET_TRY(load_floats(c, "in.gallery_features", &g->gallery_features, &count));
    FET_TRY(FET_NEW(dist, g->queries * g->entries));
    FET_TRY(fet__rerank(dist, g->query_features, g->queries, g->gallery_features, g->entries, width, 20, 6, 0.3));
    FET_TRY(parity_compare(c, "out.rerank_dist", dist, FET_F32, g->queries * g->entries, PARITY_ABS, 2e-5));
    FET_TRY(rank(c, g, dist, (fet__retrieval_options){0}, "out.rerank_mAP", "out.rerank_cmc", NULL));
done:
    fet__free(dist);
    return st;
}

fet_status parity_spcl_ranking(parity_case *c)
{
    gallery g = {0};
    fet_status st;
    FET_TRY(load(c, &g));
    FET_TRY(rank(c, &g, g.dist, (fet__retrieval_options){0}, "out.mAP", "out.cmc", "out.AP"));
    FET_TRY(rank(c, &g, g.dist, (fet__retrieval_options){.all_matches = true}, NULL, "out.cmc_allshots", NULL));
    FET_TRY(
        rank(c, &g, g.dist, (fet__retrieval_options){.separate_cameras = true}, NULL, "out.cmc_separate_cams", NULL));
    FET_TRY(
        rank(c, &g, g.dist, (fet__retrieval_options){.by_position = true}, "out.mAP_toolbox", "out.cmc_toolbox", NULL));
    FET_TRY(check_rerank(c, &g));
done:
    gallery_fini(&g);
    return st;
}

fet_status parity_spcl_ranking_ties(parity_case *c)
{
    gallery g = {0};
    fet_status st;
    FET_TRY(load(c, &g));
    FET_TRY(rank(c, &g, g.dist, (fet__retrieval_options){0}, "out.mAP", NULL, "out.AP"));
done:
    gallery_fini(&g);
    return st;
}
