/* oneDNN's C API, versions 2 and 3. Version 2 describes an operation in a struct and makes a primitive descriptor of
 * it, and its memory descriptors are values; version 3 creates primitive descriptors directly, and its memory
 * descriptors are objects. Primitives, memory objects and the scratchpad's size are fixed at creation; a run sets data
 * pointers that changed and executes. */
#include "kernel/dnnl/dnnl_api.h"

#include <oneapi/dnnl/dnnl.h>
#include <pthread.h>

#define STRINGIFY(x) #x
#define VERSION_TEXT(a, b, c) STRINGIFY(a) "." STRINGIFY(b) "." STRINGIFY(c)

enum { SCRATCH = FET__DNNL_SLOTS, MEMORIES };

struct fet__dnnl {
    fet__dnnl_spec spec;
    dnnl_stream_t stream;
    dnnl_primitive_t op, reorder;
    dnnl_memory_t memory[MEMORIES], plain; /* plain: the weights in the caller's layout, where they are reordered */
    void *bound[MEMORIES], *plain_bound;
    size_t op_scratch, free_bytes;
    int threads;
    char implementation[64];
};

/* One engine for the process, made by whoever comes first; it is never destroyed. */
static dnnl_engine_t engine;
static dnnl_status_t engine_status;
static pthread_once_t engine_once = PTHREAD_ONCE_INIT;

static void engine_make(void)
{
    engine_status = dnnl_engine_create(&engine, dnnl_cpu, 0);
}

static dnnl_status_t engine_begin(void)
{
    pthread_once(&engine_once, engine_make);
    return engine_status;
}

static fet_status failed(dnnl_status_t s, const char *what)
{
    if (s == dnnl_success)
        return FET_OK;
    if (s == dnnl_out_of_memory)
        return FET_FAIL(FET_E_NOMEM, "oneDNN: out of memory in %s", what);
    return FET_FAIL(FET_E_BUG, "oneDNN: %s failed with status %d", what, (int)s);
}

/* A layout: how a memory descriptor is held, made and handed on. */
#if DNNL_VERSION_MAJOR >= 3
typedef const_dnnl_memory_desc_t layout_ref;
#define REF(l) (l)
#define layout_by_strides(l, n, dim, stride) dnnl_memory_desc_create_with_strides(l, n, dim, dnnl_f32, stride)
#define layout_free_choice(l, n, dim) dnnl_memory_desc_create_with_tag(l, n, dim, dnnl_f32, dnnl_format_tag_any)

static void layout_drop(dnnl_memory_desc_t *l)
{
    if (*l)
        dnnl_memory_desc_destroy(*l);
    *l = NULL;
}
#else
typedef const dnnl_memory_desc_t *layout_ref;
#define REF(l) (&(l))
#define layout_by_strides(l, n, dim, stride) dnnl_memory_desc_init_by_strides(l, n, dim, dnnl_f32, stride)
#define layout_free_choice(l, n, dim) dnnl_memory_desc_init_by_tag(l, n, dim, dnnl_f32, dnnl_format_tag_any)

static void layout_drop(dnnl_memory_desc_t *l)
{
    (void)l;
}
#endif

typedef struct layouts {
    dnnl_memory_desc_t src, weights, bias, dst, plain;
} layouts;

/* An absent operand leaves the zero descriptor: version 2 takes it (or NULL) for "none", version 3 takes NULL. */
static dnnl_status_t layout_of(dnnl_memory_desc_t *out, const fet__dnnl_view *v, bool choose)
{
    if (v->rank == 0)
        return dnnl_success;
    dnnl_dims_t dim, stride;
    for (int i = 0; i < v->rank; i++) {
        dim[i] = v->dim[i];
        stride[i] = v->stride[i];
    }
    return choose ? layout_free_choice(out, v->rank, dim) : layout_by_strides(out, v->rank, dim, stride);
}

static dnnl_status_t layouts_make(layouts *l, const fet__dnnl_spec *s)
{
    dnnl_status_t st = layout_of(&l->src, &s->src, false);
    if (st == dnnl_success)
        st = layout_of(&l->weights, &s->weights, s->free_weights);
    if (st == dnnl_success)
        st = layout_of(&l->plain, &s->weights, false);
    if (st == dnnl_success)
        st = layout_of(&l->bias, &s->bias, false);
    return st == dnnl_success ? layout_of(&l->dst, &s->dst, false) : st;
}

static void layouts_drop(layouts *l)
{
    layout_drop(&l->src);
    layout_drop(&l->weights);
    layout_drop(&l->bias);
    layout_drop(&l->dst);
    layout_drop(&l->plain);
}

static dnnl_status_t append_activation(dnnl_post_ops_t ops, fet__activation a)
{
    if (a == FET__ACT_NONE)
        return dnnl_success;
    dnnl_alg_kind_t kind = a == FET__ACT_RELU ? dnnl_eltwise_relu : dnnl_eltwise_gelu_erf;
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_post_ops_append_eltwise(ops, kind, 0, 0);
#else
    return dnnl_post_ops_append_eltwise(ops, 1, kind, 0, 0);
#endif
}

static dnnl_status_t attributes_make(dnnl_primitive_attr_t *out, const fet__dnnl_spec *s, const layouts *l)
{
    dnnl_post_ops_t ops = NULL;
    dnnl_status_t st = dnnl_primitive_attr_create(out);
    if (st == dnnl_success)
        st = dnnl_primitive_attr_set_scratchpad_mode(*out, dnnl_scratchpad_mode_user);
    if (st == dnnl_success)
        st = dnnl_post_ops_create(&ops);
    if (st == dnnl_success)
        st = append_activation(ops, s->activation);
    if (st == dnnl_success && s->add)
        st = dnnl_post_ops_append_binary(ops, dnnl_binary_add, REF(l->dst));
    if (st == dnnl_success)
        st = dnnl_primitive_attr_set_post_ops(*out, ops);
    if (ops)
        dnnl_post_ops_destroy(ops);
    return st;
}

typedef struct geometry {
    dnnl_dims_t stride, dilate, pad, pad_end;
} geometry;

static geometry geometry_of(const fet__dnnl_spec *s)
{
    geometry g;
    for (int i = 0; i < 2; i++) {
        g.stride[i] = s->stride[i];
        g.dilate[i] = s->dilation[i] - 1; /* oneDNN counts the gaps */
        g.pad[i] = s->pad[i];
        g.pad_end[i] = s->pad_end[i];
    }
    return g;
}

/* Primitive descriptors of the four kinds. The gradients want a forward descriptor as a hint. */
#if DNNL_VERSION_MAJOR >= 3
static dnnl_status_t describe_forward(dnnl_primitive_desc_t *out, const geometry *g, const layouts *l,
                                      dnnl_prop_kind_t prop, dnnl_primitive_attr_t attr)
{
    return dnnl_convolution_forward_primitive_desc_create(out, engine, prop, dnnl_convolution_direct, l->src,
                                                          l->weights, l->bias, l->dst, g->stride, g->dilate, g->pad,
                                                          g->pad_end, attr);
}

static dnnl_status_t describe_gradient(dnnl_primitive_desc_t *out, const fet__dnnl_spec *s, const geometry *g,
                                       const layouts *l, dnnl_primitive_attr_t attr, const_dnnl_primitive_desc_t hint)
{
    if (s->kind == FET__DNNL_CONV_DX)
        return dnnl_convolution_backward_data_primitive_desc_create(out, engine, dnnl_convolution_direct, l->src,
                                                                    l->weights, l->dst, g->stride, g->dilate, g->pad,
                                                                    g->pad_end, hint, attr);
    return dnnl_convolution_backward_weights_primitive_desc_create(out, engine, dnnl_convolution_direct, l->src,
                                                                   l->weights, NULL, l->dst, g->stride, g->dilate,
                                                                   g->pad, g->pad_end, hint, attr);
}

static dnnl_status_t describe_matmul(dnnl_primitive_desc_t *out, const layouts *l, dnnl_primitive_attr_t attr)
{
    return dnnl_matmul_primitive_desc_create(out, engine, l->src, l->weights, l->bias, l->dst, attr);
}

static dnnl_status_t describe_inner(dnnl_primitive_desc_t *out, const layouts *l, dnnl_primitive_attr_t attr)
{
    return dnnl_inner_product_forward_primitive_desc_create(out, engine, dnnl_forward_inference, l->src, l->weights,
                                                            l->bias, l->dst, attr);
}
#else
static dnnl_status_t describe_forward(dnnl_primitive_desc_t *out, const geometry *g, const layouts *l,
                                      dnnl_prop_kind_t prop, dnnl_primitive_attr_t attr)
{
    dnnl_convolution_desc_t op;
    dnnl_status_t st =
        dnnl_dilated_convolution_forward_desc_init(&op, prop, dnnl_convolution_direct, &l->src, &l->weights, &l->bias,
                                                   &l->dst, g->stride, g->dilate, g->pad, g->pad_end);
    return st == dnnl_success ? dnnl_primitive_desc_create(out, &op, attr, engine, NULL) : st;
}

static dnnl_status_t describe_gradient(dnnl_primitive_desc_t *out, const fet__dnnl_spec *s, const geometry *g,
                                       const layouts *l, dnnl_primitive_attr_t attr, const_dnnl_primitive_desc_t hint)
{
    dnnl_convolution_desc_t op;
    dnnl_status_t st;
    if (s->kind == FET__DNNL_CONV_DX)
        st = dnnl_dilated_convolution_backward_data_desc_init(&op, dnnl_convolution_direct, &l->src, &l->weights,
                                                              &l->dst, g->stride, g->dilate, g->pad, g->pad_end);
    else
        st = dnnl_dilated_convolution_backward_weights_desc_init(&op, dnnl_convolution_direct, &l->src, &l->weights,
                                                                 NULL, &l->dst, g->stride, g->dilate, g->pad,
                                                                 g->pad_end);
    return st == dnnl_success ? dnnl_primitive_desc_create(out, &op, attr, engine, hint) : st;
}

static dnnl_status_t describe_matmul(dnnl_primitive_desc_t *out, const layouts *l, dnnl_primitive_attr_t attr)
{
    dnnl_matmul_desc_t op;
    dnnl_status_t st = dnnl_matmul_desc_init(&op, &l->src, &l->weights, &l->bias, &l->dst);
    return st == dnnl_success ? dnnl_primitive_desc_create(out, &op, attr, engine, NULL) : st;
}

static dnnl_status_t describe_inner(dnnl_primitive_desc_t *out, const layouts *l, dnnl_primitive_attr_t attr)
{
    dnnl_inner_product_desc_t op;
    dnnl_status_t st =
        dnnl_inner_product_forward_desc_init(&op, dnnl_forward_inference, &l->src, &l->weights, &l->bias, &l->dst);
    return st == dnnl_success ? dnnl_primitive_desc_create(out, &op, attr, engine, NULL) : st;
}
#endif

static dnnl_status_t describe(dnnl_primitive_desc_t *out, const fet__dnnl_spec *s, const layouts *l,
                              dnnl_primitive_attr_t attr)
{
    geometry g = geometry_of(s);
    if (s->kind == FET__DNNL_MATMUL)
        return describe_matmul(out, l, attr);
    if (s->kind == FET__DNNL_INNER)
        return describe_inner(out, l, attr);
    if (s->kind == FET__DNNL_CONV)
        return describe_forward(out, &g, l, dnnl_forward_inference, attr);
    dnnl_primitive_desc_t hint = NULL;
    dnnl_status_t st = describe_forward(&hint, &g, l, dnnl_forward_training, NULL);
    if (st == dnnl_success)
        st = describe_gradient(out, s, &g, l, attr, hint);
    if (hint)
        dnnl_primitive_desc_destroy(hint);
    return st;
}

static dnnl_status_t memory_make(fet__dnnl *d, int slot, layout_ref l)
{
    return dnnl_memory_create(&d->memory[slot], l, engine, DNNL_MEMORY_NONE);
}

/* Memory objects for the operands; the weights' layout is the descriptor's choice. */
static dnnl_status_t memories_make(fet__dnnl *d, const layouts *l, layout_ref chosen, layout_ref scratch)
{
    const fet__dnnl_spec *s = &d->spec;
    dnnl_status_t st = memory_make(d, FET__DNNL_SRC, REF(l->src));
    if (st == dnnl_success)
        st = memory_make(d, FET__DNNL_WEIGHTS, chosen);
    if (st == dnnl_success)
        st = memory_make(d, FET__DNNL_DST, REF(l->dst));
    if (st == dnnl_success && s->bias.rank)
        st = memory_make(d, FET__DNNL_BIAS, REF(l->bias));
    if (st == dnnl_success && s->add)
        st = memory_make(d, FET__DNNL_ADD, REF(l->dst));
    d->op_scratch = (dnnl_memory_desc_get_size(scratch) + 63) / 64 * 64;
    return st == dnnl_success ? memory_make(d, SCRATCH, scratch) : st;
}

/* Between the caller's layout of the weights and the chosen one, when these differ; out of it for a weight gradient. */
static dnnl_status_t reorder_make(fet__dnnl *d, const layouts *l, layout_ref chosen)
{
    if (!d->spec.free_weights || dnnl_memory_desc_equal(chosen, REF(l->plain)))
        return dnnl_success;
    bool back = d->spec.kind == FET__DNNL_CONV_DW;
    layout_ref from = back ? chosen : REF(l->plain), to = back ? REF(l->plain) : chosen;
    dnnl_primitive_desc_t desc = NULL;
    dnnl_status_t st = dnnl_reorder_primitive_desc_create(&desc, from, engine, to, engine, NULL);
    if (st == dnnl_success)
        st = dnnl_primitive_create(&d->reorder, desc);
    if (st == dnnl_success)
        st = dnnl_memory_create(&d->plain, REF(l->plain), engine, DNNL_MEMORY_NONE);
    d->free_bytes = (dnnl_memory_desc_get_size(chosen) + 63) / 64 * 64;
    if (desc)
        dnnl_primitive_desc_destroy(desc);
    return st;
}

static dnnl_status_t build(fet__dnnl *d, const layouts *l, dnnl_primitive_attr_t attr)
{
    dnnl_primitive_desc_t desc = NULL;
    const char *name = NULL;
    dnnl_query_t what = d->spec.kind == FET__DNNL_CONV_DW ? dnnl_query_diff_weights_md : dnnl_query_weights_md;
    dnnl_status_t st = describe(&desc, &d->spec, l, attr);
    if (st == dnnl_success)
        st = dnnl_primitive_create(&d->op, desc);
    if (st == dnnl_success)
        st = dnnl_primitive_desc_query(desc, dnnl_query_impl_info_str, 0, (void *)&name);
    if (st == dnnl_success) {
        layout_ref chosen = dnnl_primitive_desc_query_md(desc, what, 0);
        snprintf(d->implementation, sizeof d->implementation, "%s", name);
        st = memories_make(d, l, chosen, dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0));
        if (st == dnnl_success)
            st = reorder_make(d, l, chosen);
    }
    if (desc)
        dnnl_primitive_desc_destroy(desc);
    return st;
}

fet_status fet__dnnl_create(fet__dnnl **out, const fet__dnnl_spec *spec)
{
    *out = NULL;
    fet__dnnl *d = fet__alloc(1, sizeof *d);
    if (!d)
        return FET_E_NOMEM;
    d->spec = *spec;
    d->threads = fet__threads();
    layouts l = {0};
    dnnl_primitive_attr_t attr = NULL;
    dnnl_status_t st = engine_begin();
    if (st == dnnl_success)
        st = dnnl_stream_create(&d->stream, engine, dnnl_stream_default_flags);
    if (st == dnnl_success)
        st = layouts_make(&l, spec);
    if (st == dnnl_success)
        st = attributes_make(&attr, spec, &l);
    if (st == dnnl_success)
        st = build(d, &l, attr);
    layouts_drop(&l);
    if (attr)
        dnnl_primitive_attr_destroy(attr);
    if (st != dnnl_success) {
        fet__dnnl_destroy(d);
        return failed(st, "creating a primitive");
    }
    *out = d;
    return FET_OK;
}

void fet__dnnl_destroy(fet__dnnl *d)
{
    if (!d)
        return;
    for (int i = 0; i < MEMORIES; i++)
        if (d->memory[i])
            dnnl_memory_destroy(d->memory[i]);
    if (d->plain)
        dnnl_memory_destroy(d->plain);
    if (d->reorder)
        dnnl_primitive_destroy(d->reorder);
    if (d->op)
        dnnl_primitive_destroy(d->op);
    if (d->stream)
        dnnl_stream_destroy(d->stream);
    fet__free(d);
}

size_t fet__dnnl_scratch(const fet__dnnl *d)
{
    return d->op_scratch + (d->spec.packed ? 0 : d->free_bytes);
}

size_t fet__dnnl_packed(const fet__dnnl *d)
{
    return d->spec.packed ? d->free_bytes : 0;
}

const char *fet__dnnl_implementation(const fet__dnnl *d)
{
    return d->implementation;
}

/* Version 2 writes zeros to a padded layout's padding whenever its pointer is set, so a pointer is set only when it
 * changed. */
static dnnl_status_t bind(dnnl_memory_t m, void **bound, const void *p)
{
    if (*bound == p)
        return dnnl_success;
    *bound = (void *)p;
    return dnnl_memory_set_data_handle(m, (void *)p);
}

static dnnl_status_t run_reorder(fet__dnnl *d, bool back)
{
    dnnl_memory_t chosen = d->memory[FET__DNNL_WEIGHTS];
    dnnl_exec_arg_t args[2] = {{DNNL_ARG_FROM, back ? chosen : d->plain}, {DNNL_ARG_TO, back ? d->plain : chosen}};
    return dnnl_primitive_execute(d->reorder, d->stream, 2, args);
}

fet_status fet__dnnl_pack(fet__dnnl *d, const void *plain, void *packed)
{
    dnnl_status_t st = bind(d->memory[FET__DNNL_WEIGHTS], &d->bound[FET__DNNL_WEIGHTS], packed);
    if (st == dnnl_success)
        st = bind(d->plain, &d->plain_bound, plain);
    if (st == dnnl_success)
        st = run_reorder(d, false);
    return failed(st, "packing weights");
}

static int argument(fet__dnnl_kind kind, int slot)
{
    static const int forward[] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_BIAS, DNNL_ARG_DST};
    static const int dx[] = {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, 0, DNNL_ARG_DIFF_DST};
    static const int dw[] = {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, 0, DNNL_ARG_DIFF_DST};
    return kind == FET__DNNL_CONV_DX ? dx[slot] : kind == FET__DNNL_CONV_DW ? dw[slot] : forward[slot];
}

static dnnl_status_t execute(fet__dnnl *d)
{
    dnnl_exec_arg_t args[MEMORIES];
    int n = 0;
    for (int i = 0; i < FET__DNNL_ADD; i++)
        if (d->memory[i])
            args[n++] = (dnnl_exec_arg_t){argument(d->spec.kind, i), d->memory[i]};
    if (d->spec.add) {
        int position = d->spec.activation != FET__ACT_NONE;
        args[n++] =
            (dnnl_exec_arg_t){DNNL_ARG_ATTR_MULTIPLE_POST_OP(position) | DNNL_ARG_SRC_1, d->memory[FET__DNNL_ADD]};
    }
    args[n++] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, d->memory[SCRATCH]};
    return dnnl_primitive_execute(d->op, d->stream, n, args);
}

/* Weights in a layout of oneDNN's choice that are not packed live behind its scratchpad for the time of the run. */
static dnnl_status_t bind_all(fet__dnnl *d, void *const slot[FET__DNNL_SLOTS], void *scratch)
{
    bool local = d->reorder && !d->spec.packed;
    dnnl_status_t st = bind(d->memory[SCRATCH], &d->bound[SCRATCH], scratch);
    for (int i = 0; i < FET__DNNL_SLOTS && st == dnnl_success; i++)
        if (d->memory[i])
            st = bind(d->memory[i], &d->bound[i],
                      local && i == FET__DNNL_WEIGHTS ? (char *)scratch + d->op_scratch : slot[i]);
    return st == dnnl_success && local ? bind(d->plain, &d->plain_bound, slot[FET__DNNL_WEIGHTS]) : st;
}

fet_status fet__dnnl_run(fet__dnnl *d, void *const slot[FET__DNNL_SLOTS], void *scratch)
{
    if (fet__threads() > d->threads) /* the scratchpad was measured for fewer */
        return FET_FAIL(FET_E_BUG, "oneDNN: prepared for %d threads, run with %d", d->threads, fet__threads());
    bool local = d->reorder && !d->spec.packed, back = d->spec.kind == FET__DNNL_CONV_DW;
    dnnl_status_t st = bind_all(d, slot, scratch);
    if (st == dnnl_success && local && !back)
        st = run_reorder(d, false);
    if (st == dnnl_success)
        st = execute(d);
    if (st == dnnl_success && local && back)
        st = run_reorder(d, true);
    if (st == dnnl_success)
        st = dnnl_stream_wait(d->stream);
    return failed(st, "running a primitive");
}

fet_status fet__dnnl_sgemm(bool ta, int64_t m, int64_t n, int64_t k, const float *a, const float *b, float *c)
{
    return failed(dnnl_sgemm(ta ? 'T' : 'N', 'N', m, n, k, 1.0f, a, ta ? m : k, b, n, 0.0f, c, n), "a matrix product");
}

fet_status fet__product_nt(float *c, const float *a, const float *b, int64_t m, int64_t n, int64_t k)
{
    return failed(dnnl_sgemm('N', 'T', m, n, k, 1.0f, a, k, b, k, 0.0f, c, n), "a matrix product");
}

const char *fet__kernel_library(void)
{
    static char text[48];
    const dnnl_version_t *v = dnnl_version(); /* of the library that runs, not of the headers */
    snprintf(text, sizeof text, "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
    return text;
}
