/* adapter_config.json of Hugging Face's PEFT. Fields that change what is computed are followed or refused by name; those that only
 * describe are passed over, and unknown ones are told. */
#include "model/peft.h"

#include <math.h>
#include <string.h>

#include "store/json_text.h"

/* Read, or of no consequence for a trained adapter: where it came from, how it was initialised, which layers it chose (the tensors
 * say that). */
static const char *const known[] = {"peft_type",
                                    "r",
                                    "lora_alpha",
                                    "lora_dropout",
                                    "bias",
                                    "use_rslora",
                                    "fan_in_fan_out",
                                    "alpha_pattern",
                                    "base_model_name_or_path",
                                    "rank_pattern",
                                    "target_modules",
                                    "exclude_modules",
                                    "modules_to_save",
                                    "layers_to_transform",
                                    "layers_pattern",
                                    "init_lora_weights",
                                    "lora_bias",
                                    "task_type",
                                    "inference_mode",
                                    "auto_mapping",
                                    "revision",
                                    "peft_version",
                                    "loftq_config",
                                    "eva_config",
                                    "corda_config",
                                    "megatron_config",
                                    "megatron_core",
                                    "runtime_config",
                                    "ensure_weight_tying",
                                    "trainable_token_indices"};

static bool is_empty(const json_t *v)
{
    return !v || json_is_null(v) || json_is_false(v) || (json_is_array(v) && json_array_size(v) == 0) ||
           (json_is_object(v) && json_object_size(v) == 0);
}

static fet_status refuse_unsupported(const json_t *j, const char *folder)
{
    static const char *const fields[] = {"use_dora",          "use_qalora",
                                         "layer_replication", "use_bdlora",
                                         "target_parameters", "alora_invocation_tokens",
                                         "arrow_config",      "trainable_token_indices"};
    const char *type = json_string_value(json_object_get(j, "peft_type"));
    size_t i;

    if (!type || strcmp(type, "LORA") != 0)
        return FET_FAIL(FET_E_FORMAT, "%s/" FET__PEFT_CONFIG ": peft_type is %s; fettle reads LORA", fet__show(folder),
                        type ? fet__show(type) : "absent");
    for (i = 0; i < FET_COUNT(fields); i++)
        if (!is_empty(json_object_get(j, fields[i])))
            return FET_FAIL(FET_E_FORMAT, "%s/" FET__PEFT_CONFIG ": %s is set, which fettle does not follow",
                            fet__show(folder), fields[i]);
    return FET_OK;
}

static void tell_unknown(json_t *j, const char *folder)
{
    void *at;

    for (at = json_object_iter(j); at; at = json_object_iter_next(j, at)) {
        const char *key = json_object_iter_key(at);
        size_t i = 0;
        while (i < FET_COUNT(known) && strcmp(known[i], key) != 0)
            i++;
        if (i == FET_COUNT(known) && !is_empty(json_object_iter_value(at)))
            fet__note("%s/" FET__PEFT_CONFIG ": field %s is not known and passed over", fet__show(folder),
                      fet__show(key));
    }
}

static fet_status take_number(const json_t *j, const char *key, double low, double high, double *out,
                              const char *folder)
{
    const json_t *v = json_object_get(j, key);
    double value = json_number_value(v);

    if (!v || json_is_null(v))
        return FET_OK;
    if (!json_is_number(v) || !(value >= low && value <= high))
        return FET_FAIL(FET_E_FORMAT, "%s/" FET__PEFT_CONFIG ": %s is no number from %g to %g", fet__show(folder), key,
                        low, high);
    *out = value;
    return FET_OK;
}

static fet_status take_bias(fet__peft_config *out, const json_t *j, const char *folder)
{
    const char *bias = json_string_value(json_object_get(j, "bias"));

    out->layer_bias = bias && strcmp(bias, "lora_only") == 0;
    if (bias && strcmp(bias, "none") != 0 && !out->layer_bias)
        return FET_FAIL(FET_E_FORMAT, "%s/" FET__PEFT_CONFIG ": bias '%s' is not supported (none and lora_only are)",
                        fet__show(folder), fet__show(bias));
    return FET_OK;
}

/* Keys are regular expressions; plain names, which is what files hold, are followed. */
static fet_status take_alphas(fet__peft_config *out, json_t *j, const char *folder)
{
    json_t *patterns = json_object_get(j, "alpha_pattern");
    void *at;

    if (is_empty(patterns))
        return FET_OK;
    for (at = json_object_iter(patterns); at; at = json_object_iter_next(patterns, at)) {
        const char *key = json_object_iter_key(at);
        double value = json_number_value(json_object_iter_value(at));
        if (strpbrk(key, "\\^$*+?()[]{}|") || !json_is_number(json_object_iter_value(at)) || !(fabs(value) <= 1e6))
            return FET_FAIL(FET_E_FORMAT,
                            "%s/" FET__PEFT_CONFIG ": alpha_pattern '%s' is no plain module name with a number",
                            fet__show(folder), fet__show(key));
    }
    out->alphas = json_incref(patterns);
    return FET_OK;
}

static fet_status read(fet__peft_config *out, json_t *j, const char *folder)
{
    const char *base = json_string_value(json_object_get(j, "base_model_name_or_path"));
    fet_status st;

    *out = (fet__peft_config){.rank = 8, .alpha = 8};
    FET_TRY(refuse_unsupported(j, folder));
    FET_TRY(take_number(j, "r", 1, 65536, &out->rank, folder));
    FET_TRY(take_number(j, "lora_alpha", -1e6, 1e6, &out->alpha, folder));
    FET_TRY(take_number(j, "lora_dropout", 0, 0.999, &out->dropout, folder));
    FET_TRY(take_bias(out, j, folder));
    FET_TRY(take_alphas(out, j, folder));
    out->root_scale = json_is_true(json_object_get(j, "use_rslora"));
    snprintf(out->base, sizeof out->base, "%s", base ? base : ""); /* for messages only: may be cut */
    tell_unknown(j, folder);
done:
    return st;
}

fet_status fet__peft_config_read(fet__peft_config *out, const char *folder)
{
    char *path = fet__path_join(folder, FET__PEFT_CONFIG);
    json_t *j = NULL;
    fet_status st = path ? FET_OK : FET_E_NOMEM;

    *out = (fet__peft_config){0};
    FET_TRY(st);
    FET_TRY(fet__json_read(&j, path));
    FET_TRY(read(out, j, folder));
done:
    json_decref(j);
    fet__free(path);
    return st;
}

void fet__peft_config_fini(fet__peft_config *c)
{
    json_decref(c->alphas);
    c->alphas = NULL;
}

static bool names_module(const char *pattern, const char *module)
{
    size_t a = strlen(pattern), b = strlen(module);

    return b >= a && strcmp(module + b - a, pattern) == 0 && (a == b || module[b - a - 1] == '.');
}

double fet__peft_scale(const fet__peft_config *c, const char *module, int64_t rank)
{
    double alpha = c->alpha;
    void *at;

    for (at = json_object_iter(c->alphas); at; at = json_object_iter_next(c->alphas, at))
        if (names_module(json_object_iter_key(at), module)) {
            alpha = json_number_value(json_object_iter_value(at));
            break;
        }
    return alpha / (c->root_scale ? sqrt((double)rank) : (double)rank);
}
