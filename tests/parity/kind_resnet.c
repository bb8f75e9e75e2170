/* mabn.resnet18, mabn.resnet50, mabn.densenet: whole networks of small width, with running statistics and with the batch's. */
#include "parity/net_case.h"

#include <string.h>

/* "[2, 2, 2, 2]" as "2+2+2+2". */
static void plus_list(const char *json, char out[64])
{
    size_t used = 0;

    for (; *json && used + 1 < 64; json++)
        if ((*json >= '0' && *json <= '9') || *json == ',')
            out[used++] = *json == ',' ? '+' : *json;
    out[used] = '\0';
}

static fet__node *loss_of(net_case *n, fet__node *logits, bool squared)
{
    fet__node *d;

    if (!squared)
        return net_cross_entropy(n, logits, "in.label");
    d = fet__sub(n->b.g, logits, net_input(n, "in.label"));
    return d ? fet__scale(n->b.g, fet__sum_all(n->b.g, fet__mul(n->b.g, d, d)),
                          1.0 / (double)fet__shape_count(&d->shape))
             : NULL;
}

static fet_status check_mode(net_case *n, const fet__arch *a, bool train)
{
    bool squared = strcmp(parity_text(n->c, "loss", "ce"), "mse") == 0;
    fet__node *features, *logits, *loss;
    fet_status st;

    FET_TRY(net_begin(n, train ? FET__NORM_TRAIN : FET__NORM_FROZEN, train));
    a->class_->build(a, &n->b, net_input(n, "in.x"), &features, &logits);
    loss = loss_of(n, logits, squared);
    if (!train)
        net_output(n, "out.eval.features", features);
    net_output(n, train ? "out.train.logits" : "out.eval.logits", logits);
    net_output(n, train ? "loss.train" : "loss.eval", loss);
    FET_TRY(fet__graph_status(n->b.g));
    FET_TRY(train ? net_want(n, "grad.train.", 11) : net_want(n, "grad.eval.", 10));
    st = net_run(n, loss);
done:
    return st;
}

static fet_status check(parity_case *c, const char *arch, const net_tolerance *tolerances)
{
    fet__arch a = {0};
    net_case n = {0};
    fet_status st;

    FET_TRY(net_open(&n, c, tolerances));
    FET_TRY(fet__arch_create(&a, arch));
    FET_TRY(check_mode(&n, &a, false));
    FET_TRY(check_mode(&n, &a, true));
    st = net_final(&n, "final.", 1);
done:
    fet__arch_fini(&a);
    net_close(&n);
    return st;
}

fet_status parity_mabn_resnet(parity_case *c)
{
    static const net_tolerance tolerances[] = {{"out.", PARITY_MIXED, 3e-4},
                                               {"loss.", PARITY_MIXED, 3e-5},
                                               {"grad.", PARITY_MIXED, 4e-4},
                                               {"final.", PARITY_MIXED, 1e-4},
                                               {0}};
    char arch[256], blocks[64];

    plus_list(parity_text(c, "stages", ""), blocks);
    snprintf(arch, sizeof arch, "resnet:block=%s,width=%.0f,blocks=%s,in_channels=%.0f,classes=%.0f,img=%.0f",
             parity_text(c, "what", "bottleneck"), parity_number(c, "width", 64), blocks, parity_number(c, "in_ch", 3),
             parity_number(c, "ncls", 0), parity_number(c, "hw", 224));
    return check(c, arch, tolerances);
}

fet_status parity_mabn_densenet(parity_case *c)
{
    static const net_tolerance tolerances[] = {{"out.", PARITY_MIXED, 7e-5},
                                               {"loss.", PARITY_MIXED, 7e-6},
                                               {"grad.", PARITY_MIXED, 3e-5},
                                               {"final.", PARITY_MIXED, 3e-6},
                                               {0}};
    char arch[256], blocks[64];

    plus_list(parity_text(c, "blocks", ""), blocks);
    snprintf(arch, sizeof arch, "densenet:growth=%.0f,blocks=%s,init=%.0f,bn_size=%.0f,classes=%.0f,img=%.0f",
             parity_number(c, "growth", 32), blocks, parity_number(c, "init", 64), parity_number(c, "bn_size", 4),
             parity_number(c, "ncls", 0), parity_number(c, "hw", 224));
    return check(c, arch, tolerances);
}
