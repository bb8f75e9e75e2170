/* The table of operators as data: names, numbers of inputs, classes. Rules about them live in graph/ and kernel/. */
#include "tensor/op.h"

const fet__op_row fet__op_rows[FET__OP_COUNT] = {
#define X(id, name, least, most, class) {name, least, most, FET__CLASS_##class},
#include "tensor/ops.def"
#undef X
};
