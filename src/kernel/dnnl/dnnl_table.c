/* oneDNN's table of kernels, and what its rows have in common. */
#include "kernel/dnnl/dnnl_kernels.h"

bool fet__dnnl_takes(const fet__problem *p)
{
    if (p->output.dtype != FET_F32 || fet__shape_count(&p->output.shape) <= 0)
        return false;
    for (int i = 0; i < p->input_count; i++)
        if (p->input[i].dtype != FET_F32 || fet__shape_count(&p->input[i].shape) <= 0)
            return false;
    return true;
}

fet_status fet__dnnl_prepare_row(fet__prepared *k, const fet__dnnl_spec *s)
{
    fet__dnnl *d;
    fet_status st = fet__dnnl_create(&d, s);
    if (st != FET_OK)
        return st;
    k->state = d;
    k->scratch = fet__dnnl_scratch(d);
    k->packed[1] = fet__dnnl_packed(d);
    return FET_OK;
}

/* Only weights, input 1, are ever packed. */
static fet_status pack(const fet__prepared *k, int input, const void *src, void *dst)
{
    (void)input;
    return fet__dnnl_pack(k->state, src, dst);
}

static void release(fet__prepared *k)
{
    fet__dnnl_destroy(k->state);
}

static bool is_conv(const fet__problem *p)
{
    return p->op == FET__OP_CONV2D && fet__dnnl_conv_accepts(p);
}

static bool is_conv_dx(const fet__problem *p)
{
    return p->op == FET__OP_CONV2D_DX && fet__dnnl_conv_accepts(p);
}

static bool is_conv_dw(const fet__problem *p)
{
    return p->op == FET__OP_CONV2D_DW && fet__dnnl_conv_accepts(p);
}

const fet__kernel fet__kernels_dnnl[] = {
    {"dnnl.sgemm", fet__dnnl_sgemm_accepts, NULL, NULL, fet__dnnl_sgemm_run, NULL},
    {"dnnl.matmul", fet__dnnl_matmul_accepts, fet__dnnl_matmul_prepare, pack, fet__dnnl_product_run, release},
    {"dnnl.linear", fet__dnnl_linear_accepts, fet__dnnl_linear_prepare, pack, fet__dnnl_product_run, release},
    {"dnnl.conv2d", is_conv, fet__dnnl_conv_prepare, pack, fet__dnnl_conv_run, release},
    {"dnnl.conv2d_dx", is_conv_dx, fet__dnnl_conv_prepare, pack, fet__dnnl_conv_run, release},
    {"dnnl.conv2d_dw", is_conv_dw, fet__dnnl_conv_prepare, NULL, fet__dnnl_conv_run, release},
    {.name = NULL},
};
