/* The functions of the oneDNN table's rows, and what these share. */
#ifndef FET_DNNL_KERNELS_H
#define FET_DNNL_KERNELS_H

#include "kernel/dnnl/dnnl_api.h"

/* ---- dnnl_matmul.c --------------------------------------------------------------------------------------- */
bool fet__dnnl_sgemm_accepts(const fet__problem *p);
fet_status fet__dnnl_sgemm_run(const fet__prepared *k, const fet__call *c);
bool fet__dnnl_matmul_accepts(const fet__problem *p);
fet_status fet__dnnl_matmul_prepare(fet__prepared *k);
bool fet__dnnl_linear_accepts(const fet__problem *p);
fet_status fet__dnnl_linear_prepare(fet__prepared *k);
fet_status fet__dnnl_product_run(const fet__prepared *k, const fet__call *c);

/* ---- dnnl_conv.c ----------------------------------------------------------------------------------------- */
bool fet__dnnl_conv_accepts(const fet__problem *p);
fet_status fet__dnnl_conv_prepare(fet__prepared *k);
fet_status fet__dnnl_conv_run(const fet__prepared *k, const fet__call *c);

/* ---- dnnl_table.c: the kernel's state is a fet__dnnl ------------------------------------------------------ */
bool fet__dnnl_takes(const fet__problem *p); /* float32 and nothing empty */
fet_status fet__dnnl_prepare_row(fet__prepared *k, const fet__dnnl_spec *s);

#endif
