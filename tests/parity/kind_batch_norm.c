/* spcl.pool_ibn, spcl.dsbn_block: GeM pooling, IBN, bottlenecks whose norms keep statistics of two domains. */
#include "parity/net_case.h"

static const net_tolerance tolerances_ibn[] = {{"out.", PARITY_ABS, 1e-5},
                                               {"loss", PARITY_MIXED, 1e-5},
                                               {"grad.", PARITY_MAX, 1e-4},
                                               {"final.", PARITY_ABS, 1e-5},
                                               {0}};
static const net_tolerance tolerances_dsbn[] = {{"out.", PARITY_ABS, 2e-5},
                                                {"loss", PARITY_MIXED, 2e-5},
                                                {"grad.", PARITY_MAX, 1e-4},
                                                {"final.", PARITY_ABS, 1e-6},
                                                {0}};

static fet_status check_gem(net_case *n)
{
    fet__node *y, *loss;
    fet_status st;

    FET_TRY(net_begin(n, FET__NORM_FROZEN, true));
    y = fet__nn_gem_pool(&n->b, "gem", net_input(n, "in.gem.x"));
    net_output(n, "out.gem", y);
    net_output(n, "loss.gem", loss = net_weighted_sum(n, y, "in.gem.w", 1));
    FET_TRY(net_want(n, "grad.gem.", 5));
    st = net_run(n, loss);
done:
    return st;
}

static fet_status check_ibn(net_case *n, double batch)
{
    fet__node *y, *loss;
    fet_status st;

    FET_TRY(net_begin(n, FET__NORM_TRAIN, true));
    y = fet__nn_ibn(&n->b, "ibn", net_input(n, "in.ibn.x"));
    net_output(n, "out.ibn.train", y);
    net_output(n, "loss.ibn", loss = net_weighted_sum(n, y, "in.ibn.w", 1 / batch));
    FET_TRY(net_want(n, "grad.ibn.", 5));
    FET_TRY(net_run(n, loss));
    FET_TRY(net_final(n, "final.ibn.", 1));
    FET_TRY(net_begin(n, FET__NORM_FROZEN, false));
    net_output(n, "out.ibn.eval", fet__nn_ibn(&n->b, "ibn", net_input(n, "in.ibn.x")));
    st = net_run(n, NULL);
done:
    return st;
}

static fet__node *block(net_case *n, fet__node *x, int64_t planes, int stride, bool ibn)
{
    fet__node *y;

    n->b.norm_domains = true;
    fet__enter(&n->b, "block");
    y = fet__resnet_bottleneck(&n->b, x, planes, stride, ibn);
    fet__leave(&n->b);
    return y;
}

static fet_status check_ibn_block(net_case *n, double batch)
{
    fet__node *y, *loss;
    fet_status st;

    FET_TRY(net_begin(n, FET__NORM_TRAIN, true));
    y = block(n, net_input(n, "in.ibn_block.x"), (int64_t)parity_number(n->c, "planes", 0), 1, true);
    net_output(n, "out.ibn_block.train", y);
    net_output(n, "loss.ibn_block", loss = net_weighted_sum(n, y, "in.ibn_block.w", 1 / batch));
    FET_TRY(net_want(n, "grad.ibn_block.", 5));
    FET_TRY(net_want(n, "grad.block.", 5));
    FET_TRY(net_run(n, loss));
    FET_TRY(net_final(n, "final.block.", 1));
    FET_TRY(net_begin(n, FET__NORM_FROZEN, false));
    y = block(n, net_input(n, "in.ibn_block.x"), (int64_t)parity_number(n->c, "planes", 0), 1, true);
    net_output(n, "out.ibn_block.eval", y);
    st = net_run(n, NULL);
done:
    return st;
}

fet_status parity_spcl_pool_ibn(parity_case *c)
{
    double batch = parity_number(c, "batch", 1);
    net_case n = {0};
    fet_status st;

    FET_TRY(net_open(&n, c, tolerances_ibn));
    FET_TRY(check_gem(&n));
    FET_TRY(check_ibn(&n, batch));
    st = check_ibn_block(&n, batch);
done:
    net_close(&n);
    return st;
}

/* ---- norms of two domains -------------------------------------------------------------------------------- */

static fet_status check_dsbn_train(net_case *n, int64_t planes, int stride)
{
    fet__node *y, *loss;
    fet_status st;

    FET_TRY(net_begin(n, FET__NORM_TRAIN, true));
    y = block(n, net_input(n, "in.x"), planes, stride, false);
    net_output(n, "out.train", y);
    loss = net_weighted_sum(n, y, "in.grad_out_weight", 1 / parity_number(n->c, "batch", 1));
    net_output(n, "loss", loss);
    FET_TRY(net_want(n, "grad.", 5));
    FET_TRY(net_run(n, loss));
    st = net_final(n, "final.block.", 1);
done:
    return st;
}

static fet_status check_dsbn_eval(net_case *n, int64_t planes, int stride, bool source)
{
    fet_status st;

    FET_TRY(net_begin(n, FET__NORM_FROZEN, false));
    n->b.norm_source = source;
    net_output(n, source ? "out.eval_source" : "out.eval_target",
               block(n, net_input(n, "in.x"), planes, stride, false));
    st = net_run(n, NULL);
done:
    return st;
}

/* The golden calls the two of its one-dimensional norm source and target. */
static fet_status rename_domains(net_case *n, const char *const from[2], const char *const to[2])
{
    static const char *const leaves[] = {"weight", "bias", "running_mean", "running_var"};
    char a[64], b[64];
    fet_status st = FET_OK;

    for (size_t i = 0; i < 2 * FET_COUNT(leaves) && st == FET_OK; i++) {
        snprintf(a, sizeof a, "bn1d.%s.%s", from[i % 2], leaves[i / 2]);
        snprintf(b, sizeof b, "bn1d.%s.%s", to[i % 2], leaves[i / 2]);
        if (!fet__params_find(n->store, a))
            return FET_FAIL(FET_E_FORMAT, "the golden has no param.%s", a);
        st = fet__params_rename(n->store, fet__params_find(n->store, a), b);
    }
    return st;
}

static fet_status check_rows(net_case *n)
{
    static const char *const golden[2] = {"source", "target"}, *const own[2] = {"BN_S", "BN_T"};
    fet_status st;

    FET_TRY(rename_domains(n, golden, own));
    for (int train = 1; train >= 0; train--) {
        FET_TRY(net_begin(n, train ? FET__NORM_TRAIN : FET__NORM_FROZEN, train));
        n->b.norm_domains = true;
        net_output(n, train ? "out.bn1d.train" : "out.bn1d.eval",
                   fet__nn_batch_norm(&n->b, "bn1d", net_input(n, "in.bn1d.x")));
        FET_TRY(net_run(n, NULL));
    }
    FET_TRY(rename_domains(n, own, golden));
    st = net_final(n, "final.bn1d.", 1);
done:
    return st;
}

fet_status parity_spcl_dsbn_block(parity_case *c)
{
    int64_t planes = (int64_t)parity_number(c, "planes", 0);
    int stride = (int)parity_number(c, "stride", 1);
    net_case n = {0};
    fet_status st;

    FET_TRY(net_open(&n, c, tolerances_dsbn));
    FET_TRY(check_dsbn_train(&n, planes, stride));
    FET_TRY(check_dsbn_eval(&n, planes, stride, false));
    FET_TRY(check_dsbn_eval(&n, planes, stride, true));
    st = check_rows(&n);
done:
    net_close(&n);
    return st;
}
