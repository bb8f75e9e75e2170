/* Fuzz target: the JSON in a model's or adapter's metadata (fettle.classes, fettle.preprocess, fettle.adapter), which comes
 * out of files of others. The first byte chooses the field. What is accepted is in range and survives being written and
 * read again; a refusal names the file and the field. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/model_int.h"

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_refusal(const char *field)
{
    require(strstr(fet_error_message(), "input") != NULL && strstr(fet_error_message(), field) != NULL);
}

static void check_classes(const char *text)
{
    fet__arena arena = {0};
    char **names = NULL;
    int count = 0;
    if (fet__classes_parse(text, "input", &arena, &names, &count) == FET_OK) {
        char **again = NULL, *json = fet__classes_json(names, count);
        int count_again = 0;
        require(json && fet__classes_parse(json, "again", &arena, &again, &count_again) == FET_OK);
        require(count == count_again);
        for (int i = 0; i < count; i++)
            require(strcmp(names[i], again[i]) == 0);
        fet__free(json);
    } else {
        check_refusal("fettle.classes");
    }
    fet__arena_fini(&arena);
}

static void check_input(const fet__input_spec *s)
{
    fet__input_spec again;
    char *json = fet__preprocess_json(s);
    require(s->height >= 1 && s->width >= 1 && s->crop_pct >= 0 && s->crop_pct <= 1);
    for (int i = 0; i < 3; i++)
        require(isfinite(s->mean[i]) && isfinite(s->std[i]) && s->std[i] > 0);
    require(json && fet__preprocess_parse(json, "again", &again) == FET_OK);
    require(again.height == s->height && again.width == s->width && again.filter == s->filter);
    require(memcmp(again.mean, s->mean, sizeof again.mean) == 0 && memcmp(again.std, s->std, sizeof again.std) == 0);
    fet__free(json);
}

static void check_preprocess(const char *text)
{
    fet__input_spec s;
    if (fet__preprocess_parse(text, "input", &s) == FET_OK)
        check_input(&s);
    else
        check_refusal("fettle.preprocess");
}

static void check_adapter(const char *text)
{
    fet__adapter_meta m, again;
    if (fet__adapter_meta_parse(text, "input", &m) == FET_OK) {
        char *json = fet__adapter_meta_json(&m);
        require(json && fet__adapter_meta_parse(json, "again", &again) == FET_OK);
        require(strcmp(m.spec, again.spec) == 0 && strcmp(m.fingerprint, again.fingerprint) == 0);
        check_input(&m.input);
        fet__free(json);
    } else {
        check_refusal("fettle.");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const checks[])(const char *text) = {check_classes, check_preprocess, check_adapter};
    if (size == 0)
        return 0;
    char *text = fet__strndup((const char *)data + 1, size - 1); /* ends at the first 0, as metadata do */
    require(text != NULL);
    checks[data[0] % FET_COUNT(checks)](text);
    fet__free(text);
    return 0;
}
