/* Networks that see, behind the channels of a picture, a map of what its site looks like (ARM-CML, methods/mabn.md 10.4). Where the map
 * comes from is train/'s; here it is a buffer of the model that a site's file may replace. */
#include "model/model_int.h"

#include <string.h>

static fet__param *map_of(const fet__model *m)
{
    fet__param *p = fet__params_find(m->store, FET__CONTEXT_MAP);

    return p && p->shape.rank == 3 && p->shape.dim[2] < fet__arch_channels(&m->arch) ? p : NULL;
}

int fet__model_channels(const fet__model *m)
{
    const fet__param *map = map_of(m);

    return fet__arch_channels(&m->arch) - (map ? (int)map->shape.dim[2] : 0);
}

fet__node *fet__model_with_context(const fet__model *m, fet__build *b, fet__node *images)
{
    fet__param *map = map_of(m);
    fet__node *pair[2] = {images, NULL};
    fet__shape s;

    if (!map || !images || images->shape.dim[3] == fet__arch_channels(&m->arch))
        return images;
    map->role = FET__BUFFER;
    s = images->shape;
    if (map->shape.dim[0] != s.dim[1] || map->shape.dim[1] != s.dim[2])
        return fet__graph_fail(b->g, FET_E_ARG,
                               "%s: the context of its sites is a map of %lld x %lld, pictures are %lld x %lld",
                               fet__show(m->path), (long long)map->shape.dim[0], (long long)map->shape.dim[1],
                               (long long)s.dim[1], (long long)s.dim[2]);
    pair[1] = fet__leaf(b->g, map);
    if (map->dtype != b->dtype)
        pair[1] = fet__cast(b->g, pair[1], b->dtype);
    pair[1] = fet__reshape(b->g, pair[1], FET_SHAPE(1, s.dim[1], s.dim[2], map->shape.dim[2]));
    pair[1] = fet__broadcast(b->g, pair[1], FET_SHAPE(s.dim[0], s.dim[1], s.dim[2], map->shape.dim[2]));
    return fet__concat(b->g, pair, 2, 3);
}

/* ---- widening -------------------------------------------------------------------------------------------------------- */

static fet__param *first_convolution(const fet__model *m)
{
    for (int i = 0; i < fet__params_count(m->store); i++) {
        fet__param *p = fet__params_at(m->store, i);
        if (p->shape.rank == 4 && p->shape.dim[1] == fet__arch_channels(&m->arch) && p->dtype == FET_F32)
            return p;
    }
    return NULL;
}

static fet_status widen_filters(fet__model *m, int extra)
{
    fet__param *old = first_convolution(m), *p;
    float *copy = NULL;
    char name[256];
    fet__shape s;
    int64_t taps, channels;
    fet_status st;

    if (!old || strlen(old->name) >= sizeof name)
        return FET_FAIL(FET_E_ARG, "%s: no first convolution to widen", fet__show(m->path));
    s = old->shape;
    channels = s.dim[1];
    taps = s.dim[2] * s.dim[3];
    snprintf(name, sizeof name, "%s", old->name);
    FET_TRY(FET_NEW(copy, fet__shape_count(&s)));
    memcpy(copy, old->data, (size_t)old->bytes);
    fet__params_remove(m->store, old);
    s.dim[1] += extra;
    FET_TRY(fet__params_add(m->store, &p, name, FET_F32, s, FET__PARAM));
    for (int64_t o = 0; o < s.dim[0]; o++)
        for (int64_t i = 0; i < s.dim[1]; i++)
            memcpy((float *)p->data + (o * s.dim[1] + i) * taps, copy + (o * channels + i % channels) * taps,
                   (size_t)taps * sizeof(float));
    p->loaded = true;
done:
    fet__free(copy);
    return st;
}

/* The same architecture with another number of input channels. */
static fet_status widen_arch(fet__model *m, int channels)
{
    fet__text text = {0};
    fet__arch wide;
    fet_status st;

    m->arch.class_->print(&m->arch, &text);
    fet__text_printf(&text, "%sin_channels=%d", strchr(text.s ? text.s : "", ':') ? "," : ":", channels);
    if (text.failed)
        return FET_E_NOMEM;
    st = fet__arch_create(&wide, text.s);
    if (st == FET_OK) {
        fet__arch_fini(&m->arch);
        m->arch = wide;
    } else {
        st = fet__fail_in(st, "%s: its first layer cannot take a context", fet__show(m->path));
    }
    fet__text_fini(&text);
    return st;
}

fet_status fet__model_widen(fet__model *m, int extra)
{
    fet__param *map;
    fet_status st;

    if (fet__params_find(m->store, FET__CONTEXT_MAP))
        return FET_FAIL(FET_E_ARG, "%s: the model has a context already", fet__show(m->path));
    FET_TRY(widen_filters(m, extra));
    FET_TRY(widen_arch(m, fet__arch_channels(&m->arch) + extra));
    FET_TRY(fet__params_add(m->store, &map, FET__CONTEXT_MAP, FET_F32, FET_SHAPE(m->arch.height, m->arch.width, extra),
                            FET__BUFFER));
    m->base_fingerprint[0] = '\0';
done:
    return st;
}
