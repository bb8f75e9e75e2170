/* Adapters that add nothing and only choose what trains: full fine-tuning, linear probe, BitFit (methods/hydra.md section 9). */
#include "adapter/adapter_int.h"

#include <string.h>

static bool every(const fet__adapter *a, const fet__param *p)
{
    (void)a;
    (void)p;
    return true;
}

static bool biases(const fet__adapter *a, const fet__param *p)
{
    size_t length = strlen(p->name);

    (void)a;
    return length >= 5 && strcmp(p->name + length - 5, ".bias") == 0;
}

const fet__adapter_class fet__adapter_full = {.name = "full", .help = "every parameter trains", .trains = every};
const fet__adapter_class fet__adapter_linear = {.name = "linear", .help = "linear probe: the head alone trains"};
const fet__adapter_class fet__adapter_bitfit = {
    .name = "bitfit",
    .help = "every bias trains (linear layers, patch embedding, norms), and the head",
    .trains = biases};
