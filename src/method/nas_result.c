/* The file that a search leaves behind: its network, place by place, and what is known about it; and copying it out of a RUN. */
#include "method/nas_int.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static json_t *positions(const fet__arch *frame, const int *choice)
{
    json_t *list = json_array();

    for (int i = 0; i < fet__nas_positions(frame); i++) {
        int stage = fet__nas_stage_of(frame, i);

        if (choice[i] == FET__NAS_IDENTITY)
            json_array_append_new(list, json_pack("{s:i, s:b}", "stage", stage, "identity", 1));
        else
            json_array_append_new(list,
                                  json_pack("{s:i, s:i, s:i}", "stage", stage, "kernel", fet__nas_kernel(choice[i]),
                                            "expansion", fet__nas_expansion(choice[i])));
    }
    return list;
}

fet_status fet__nas_result_write(const char *path, const fet__arch *frame, const int *choice, void *found)
{
    const fet__quadranet *q = frame->config;
    json_t *j = json_pack("{s:i, s:s, s:s, s:i, s:i, s:[i, i], s:i, s:f, s:o, s:o}", "fettle_arch", 1, "family",
                          "quadranet", "mixer", q->mixer == FET__MIX_CONV ? "conv" : "quadratic", "dim", q->dim,
                          "patch", q->patch, "image", q->image[0], q->image[1], "classes", frame->classes, "scale",
                          q->scale, "positions", positions(frame, choice), "found", (json_t *)found);
    char *text = j ? json_dumps(j, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
    fet_status st = text ? FET_OK : FET_FAIL(FET_E_NOMEM, "no memory for the description of a network");

    FET_TRY(st);
    st = fet__file_write_text(path, text);
done:
    free(text);
    json_decref(j);
    return st;
}

static fet_status no_result(const char *run)
{
    char *state = fet__path_join(run, "search.safetensors");
    bool begun = state && fet__file_exists(state);

    fet__free(state);
    if (begun)
        return FET_FAIL(FET_E_ARG, "%s: the search there has not ended (fettle nas search --out %s --resume goes on)",
                        fet__show(run), fet__show(run));
    return FET_FAIL(FET_E_IO, "%s: no search there (no arch.json)", fet__show(run));
}

fet_status fet_nas_derive(const char *run, const char *out, char **arch)
{
    char *path = NULL;
    fet__arch a = {0};
    fet__text text = {0};
    fet_status st;

    if (!run || !out || !arch)
        return FET_FAIL(FET_E_ARG, "fet_nas_derive: run, path or text is absent");
    *arch = NULL;
    path = fet__path_join(run, "arch.json");
    st = path ? FET_OK : FET_E_NOMEM;
    FET_TRY(st);
    if (fet__file_exists(out))
        st = FET_FAIL(FET_E_ARG, "%s exists: give another --out", fet__show(out));
    else if (!fet__file_exists(path))
        st = no_result(run);
    FET_TRY(st);
    FET_TRY(fet__arch_open(&a, path));
    a.class_->print(&a, &text);
    if (text.failed || !(*arch = fet__strdup(text.s)))
        st = FET_E_NOMEM;
    FET_TRY(st);
    st = fet__file_copy(path, out);
done:
    if (st != FET_OK && arch) {
        fet__free(*arch);
        *arch = NULL;
    }
    fet__arch_fini(&a);
    fet__text_fini(&text);
    fet__free(path);
    return st;
}
