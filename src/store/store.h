/* Files of named tensors, in and out. Everything read here is untrusted: sizes are checked before memory is taken,
 * and every refusal names the file, the place and the reason. No names are translated here (model/ does that). */
#ifndef FET_STORE_H
#define FET_STORE_H

#include "tensor/tensor.h"

/* One tensor in a file. `data` lies in the mapping or in memory of the fet__tensors, which lends it. Foreign files may place it at
 * any byte: where fet__entry_aligned() is false, read it only by memcpy or from a copy. Files that we write are
 * aligned. */
typedef struct fet__entry {
    const char *name;
    fet_dtype dtype;
    fet__shape shape;
    const void *data;
    int64_t bytes;
} fet__entry;

/* An open file: entries in the file's order (safetensors: of their data), string metadata, other leaves. Data stays valid
 * until close. */
typedef struct fet__tensors fet__tensors;

/* ---- tensors.c ------------------------------------------------------------------------------------------- */
/* Open by content: safetensors, PyTorch (zip, legacy), NumPy (.npy, .npz), the index of a checkpoint in several files, a
 * folder. A known other format is refused by name. */
fet_status fet__tensors_open(fet__tensors **out, const char *path);
void fet__tensors_close(fet__tensors *t); /* accepts NULL */
const char *fet__tensors_path(const fet__tensors *t);
int fet__tensors_count(const fet__tensors *t);
const fet__entry *fet__tensors_at(const fet__tensors *t, int i);
const fet__entry *fet__tensors_find(const fet__tensors *t, const char *name); /* NULL when absent */
bool fet__entry_aligned(const fet__entry *e); /* data may be used in place as an array of its type */
int fet__tensors_meta_count(const fet__tensors *t);
const char *fet__tensors_meta_key(const fet__tensors *t, int i);
const char *fet__tensors_meta(const fet__tensors *t, const char *key); /* NULL when absent */
/* What a pickled object holds besides tensors, in file order: the slash-joined path ("optimizer/param_groups/0/lr") and
 * the value as JSON text. NaN and infinities are strings; "<opaque Namespace>" stands for an object of another class. */
int fet__tensors_leaf_count(const fet__tensors *t);
void fet__tensors_leaf(const fet__tensors *t, int i, const char **path, const char **json);

/* ---- shards.c: a checkpoint in several files, and folders ---------------------------------------------------- */
/* fet__tensors_open() of a folder opens its model.safetensors, model.safetensors.index.json, pytorch_model.bin,
 * pytorch_model.bin.index.json, open_clip_model.safetensors or open_clip_pytorch_model.bin, whichever comes first, and of
 * an index all files that it names. The JSON texts that lie beside them are then metadata under their names: fet__tensors_meta(t, FET__HF_CONFIG) is a valid JSON object of at most
 * 1 MiB, or NULL where there is none. What its fields mean (hidden_size, num_attention_heads, id2label, image_mean, ...)
 * is known to model/. */
#define FET__HF_CONFIG "config.json"
#define FET__HF_PREPROCESSOR "preprocessor_config.json"

/* ---- safetensors.c --------------------------------------------------------------------------------------- */
/* Parse a file in memory (the fuzz target's door). `data` must outlive the result; `name` is for messages. */
fet_status fet__safetensors_parse(fet__tensors **out, const void *data, size_t size, const char *name);

typedef struct fet__meta_pair {
    const char *key, *value;
} fet__meta_pair;
/* Write atomically. The data part begins at a multiple of 8 bytes; entries are laid out in the given order, those
 * with wider elements first, so that all data are aligned for their types (the format allows no gaps). `e->shape`
 * and `e->bytes` must agree, names must be valid UTF-8 and differ: FET_E_ARG otherwise. */
fet_status fet__safetensors_write(const char *path, const fet__entry *entries, int count, const fet__meta_pair *meta,
                                  int meta_count);

/* ---- seal.c ---------------------------------------------------------------------------------------------- */
/* The same with a checksum of tensors and metadata as one more entry (fettle.checksum), which fet__tensors_open() holds
 * the contents against. */
fet_status fet__sealed_write(const char *path, const fet__entry *entries, int count, const fet__meta_pair *meta,
                             int meta_count);

/* ---- fingerprint.c --------------------------------------------------------------------------------------- */
/* SHA-256 over tensors sorted by name (byte order): name, NUL, rank and sizes as little-endian int64, values as
 * little-endian float32. Entries for which skip(user, name) is true are left out. */
fet_status fet__fingerprint(char hex[65], const fet__entry *entries, int count, bool (*skip)(void *, const char *),
                            void *user);

/* ---- recipe.c -------------------------------------------------------------------------------------------- */
/* A YAML recipe: one mapping of scalars (and lists of scalars, joined with '+') from option name to text:
 *     lr: 5e-4
 *     adapter: hydra:at=attn.proj+mlp.fc2,rank=2
 * Anything nested deeper, anchors, tags or duplicate keys are refused with line numbers. */
typedef struct fet__recipe {
    int count;
    char **keys, **values;
    int *lines;
} fet__recipe;
fet_status fet__recipe_read(fet__recipe *out, const char *path);
fet_status fet__recipe_parse(fet__recipe *out, const char *text, size_t size, const char *name);
void fet__recipe_fini(fet__recipe *r);

#endif
