/* Writes a model's tensors in the names and layouts of other libraries, and the rows for Hugging Face's ViT. */
#ifndef IMPORT_FIXTURE_H
#define IMPORT_FIXTURE_H

#include "unit/model_testing.h"

#include "model/import.h"

#define MOST 400

/* ---- writing foreign files ----------------------------------------------------------------------------------- */

/* How the foreign tensor lies. */
typedef enum how {
    SAME,
    PART0, /* rows of the fused layer */
    PART1,
    PART2,
    TURNED, /* matrix transposed */
    FLAT,   /* without sizes of 1 in front */
    HWIO,   /* convolution kernel */
    HEADS0, /* [d, heads, size] */
    HEADS1,
    HEADS2,
    HEADBIAS0, /* [heads, size] */
    HEADBIAS1,
    HEADBIAS2,
    HEADSOUT, /* [heads, size, d] */
    MERGED,   /* last axis channel-major */
    HALF      /* float16 */
} how;

typedef struct row {
    const char *ours, *theirs;
    how h;
} row;

typedef struct foreign {
    fet__entry e[MOST];
    int count;
} foreign;

static inline float *reserve(int64_t n)
{
    float *p = malloc((size_t)n * sizeof *p + 1);

    assert_non_null(p);
    return p;
}

static inline void turn(float *to, const float *from, int64_t rows, int64_t columns)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++)
            to[c * rows + r] = from[r * columns + c];
}

static inline void put_hwio(float *to, const float *from, const fet__shape *s)
{
    int64_t o = s->dim[0], in = s->dim[1], h = s->dim[2], w = s->dim[3];

    for (int64_t i = 0; i < o; i++)
        for (int64_t k = 0; k < in; k++)
            for (int64_t y = 0; y < h; y++)
                for (int64_t x = 0; x < w; x++)
                    to[((y * w + x) * in + k) * o + i] = from[((i * in + k) * h + y) * w + x];
}

/* Block (r, c) of 4 becomes neighbour 2 r + c; ours are in the order (0,0), (1,0), (0,1), (1,1). */
static inline void put_merged(float *to, const float *from, int64_t rows, int64_t columns)
{
    static const int ours[2][2] = {{0, 2}, {1, 3}};
    int64_t channels = columns / 4;

    for (int64_t i = 0; i < rows; i++)
        for (int64_t c = 0; c < channels; c++)
            for (int r = 0; r < 2; r++)
                for (int s = 0; s < 2; s++)
                    to[i * columns + c * 4 + 2 * r + s] = from[i * columns + ours[r][s] * channels + c];
}

static inline void write_one(foreign *f, const char *name, const fet__param *p, how h, int heads)
{
    fet__shape s = p->shape;
    int64_t n = fet__shape_count(&s), d = s.dim[s.rank - 1];
    const float *from = p->data;
    float *to = reserve(n);
    fet__entry *e = &f->e[f->count++];
    int part = h >= PART0 && h <= PART2 ? h - PART0 : h >= HEADS0 && h <= HEADS2 ? h - HEADS0 : h - HEADBIAS0;

    memcpy(to, from, (size_t)n * sizeof *to);
    if ((h >= PART0 && h <= PART2) || (h >= HEADS0 && h <= HEADBIAS2)) {
        n /= 3;
        s.dim[0] /= 3;
        from += part * n;
        memcpy(to, from, (size_t)n * sizeof *to);
    }
    if (h >= HEADS0 && h <= HEADS2) {
        turn(to, from, s.dim[0], d);
        s = FET_SHAPE(d, heads, s.dim[0] / heads);
    } else if (h >= HEADBIAS0 && h <= HEADBIAS2) {
        s = FET_SHAPE(heads, s.dim[0] / heads);
    } else if (h == HEADSOUT) {
        turn(to, from, s.dim[0], d);
        s = FET_SHAPE(heads, d / heads, s.dim[0]);
    } else if (h == TURNED) {
        turn(to, from, s.dim[0], d);
        s = FET_SHAPE(s.dim[1], s.dim[0]);
    } else if (h == FLAT) {
        s = s.dim[1] == 1 ? FET_SHAPE(d) : FET_SHAPE(s.dim[1], d);
    } else if (h == HWIO) {
        put_hwio(to, from, &s);
        s = FET_SHAPE(s.dim[2], s.dim[3], s.dim[1], s.dim[0]);
    } else if (h == MERGED) {
        put_merged(to, from, n / d, d);
    }
    *e = (fet__entry){strdup(name), h == HALF ? FET_F16 : FET_F32, s, to, n * (h == HALF ? 2 : 4)};
    if (h == HALF)
        fet__convert(to, FET_F16, from, FET_F32, n);
}

/* Every parameter by every row that has its name; one without a row keeps its name. */
static inline void write_foreign(foreign *f, const fet__model *m, const row *rows, const char *prefix, int heads)
{
    char name[200], full[300];

    for (int i = 0; i < fet__params_count(m->store); i++) {
        const fet__param *p = fet__params_at(m->store, i);
        int written = 0;
        for (const row *r = rows; r->ours; r++)
            if (fet__name_map(r->ours, r->theirs, p->name, name, sizeof name)) {
                snprintf(full, sizeof full, "%s%s", name[0] == '!' ? "" : prefix, name + (name[0] == '!'));
                write_one(f, full, p, r->h, heads);
                written++;
            }
        if (!written) {
            snprintf(full, sizeof full, "%s%s", prefix, p->name);
            write_one(f, full, p, SAME, heads);
        }
    }
}

static inline void add_tensor(foreign *f, const char *name, fet_dtype t, fet__shape s)
{
    int64_t n = fet__shape_count(&s);
    void *zeros = calloc((size_t)n * 8 + 1, 1);

    assert_non_null(zeros);
    f->e[f->count++] = (fet__entry){strdup(name), t, s, zeros, n * (int64_t)fet__dtype_bytes(t)};
}

static inline void save(foreign *f, const char *path)
{
    assert_ok(fet__safetensors_write(path, f->e, f->count, NULL, 0));
}

static inline void release(foreign *f)
{
    for (int i = 0; i < f->count; i++) {
        free((char *)(uintptr_t)f->e[i].name);
        free((void *)(uintptr_t)f->e[i].data);
    }
    f->count = 0;
}

#define HF "encoder.layer.{i}."
static const row huggingface_rows[] = {{"cls_token", "embeddings.cls_token", SAME},
                                       {"dist_token", "embeddings.distillation_token", SAME},
                                       {"patch_embed.proj.*", "embeddings.patch_embeddings.projection.*", SAME},
                                       {"pos_embed", "embeddings.position_embeddings", SAME},
                                       {"blocks.{i}.norm1.*", HF "layernorm_before.*", SAME},
                                       {"blocks.{i}.attn.qkv.*", HF "attention.attention.query.*", PART0},
                                       {"blocks.{i}.attn.qkv.*", HF "attention.attention.key.*", PART1},
                                       {"blocks.{i}.attn.qkv.*", HF "attention.attention.value.*", PART2},
                                       {"blocks.{i}.attn.proj.*", HF "attention.output.dense.*", SAME},
                                       {"blocks.{i}.norm2.*", HF "layernorm_after.*", SAME},
                                       {"blocks.{i}.mlp.fc1.*", HF "intermediate.dense.*", SAME},
                                       {"blocks.{i}.mlp.fc2.*", HF "output.dense.*", SAME},
                                       {"norm.*", "layernorm.*", SAME},
                                       {"head.*", "!classifier.*", SAME},
                                       {0}};

#endif
