/* mona.swin_plain: the plain Swin transformer, two image sizes of which one needs padding everywhere; and what each baseline that only
 * chooses among the backbone's parameters trains. */
#include "parity/swin_case.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* How many of the golden's names our store lacks or does not train. `missing` counts the norms that a classifier does not use. */
static int not_trained(const swin_case *v, const json_t *list, int *missing)
{
    char name[200];
    int wrong = 0;
    size_t i;
    json_t *e;

    *missing = 0;
    json_array_foreach(list, i, e)
    {
        const fet__param *p = fet__params_find(v->m->store, swin_name(v, json_string_value(e), name));
        int stage, end = 0;

        if (!p && sscanf(name, "norm%d.%n", &stage, &end) == 1 && end > 0)
            ++*missing;
        else
            wrong += !p || !p->trainable;
    }
    return wrong;
}

/* Partial-1 is a literal name in the reference: in a network of fewer stages it finds nothing, where ours takes the last block. */
static bool comparable(const char *key, const json_t *list)
{
    return strcmp(key, "trainable_partial_1") != 0 || json_array_size(list) > 2;
}

static fet_status check_baseline(parity_case *c, const char *key, const char *adapter)
{
    swin_case v = {.c = c, .adapter = adapter};
    json_t *list = json_loads(parity_text(c, key, ""), 0, NULL);
    int missing = 0, trained = 0, wrong;
    fet_status st = FET_OK;

    if (!json_is_array(list)) {
        st = FET_FAIL(FET_E_FORMAT, "the metadata has no list %s", key);
        goto done;
    }
    if (!comparable(key, list))
        goto done;
    FET_TRY(swin_open(&v, 0));
    wrong = not_trained(&v, list, &missing);
    for (int i = 0; i < fet__params_count(v.m->store); i++)
        trained += fet__params_at(v.m->store, i)->trainable;
    wrong += abs(trained + missing - (int)json_array_size(list));
    parity_note(c, key, wrong, 0.5);
done:
    json_decref(list);
    swin_close(&v);
    return st;
}

fet_status parity_swin_plain(parity_case *c)
{
    fet_status st;

    FET_TRY(swin_check(c, NULL, NULL));
    FET_TRY(check_baseline(c, "trainable_bitfit", "bitfit:preset=mona"));
    FET_TRY(check_baseline(c, "trainable_norm_tuning", "norm"));
    FET_TRY(check_baseline(c, "trainable_partial_1", "partial1"));
    st = check_baseline(c, "trainable_fixed", "linear");
done:
    return st;
}
