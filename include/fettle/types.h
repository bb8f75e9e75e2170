/* Plain types that several public headers share: element types. */
#ifndef FETTLE_TYPES_H
#define FETTLE_TYPES_H

#ifdef __cplusplus
extern "C" {
#endif

/* Element types of tensors in files and in memory. Little-endian everywhere. */
typedef enum fet_dtype {
    FET_F32,
    FET_F64,
    FET_BF16,
    FET_F16,
    FET_I64,
    FET_I32,
    FET_I16,
    FET_I8,
    FET_U8,
    FET_BOOL,
    FET_U16,
    FET_U32,
    FET_U64
} fet_dtype;
#define FET_DTYPE_COUNT 13

#ifdef __cplusplus
}
#endif
#endif
