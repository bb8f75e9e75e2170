/* Adaptive risk minimisation (methods/mabn.md 10.4): a context network whose mean over a domain's pictures comes with each of them, and
 * a loss that is learned. The variant that adapts by batch statistics needs no layer of its own. */
#include "train/rivals.h"

static fet__node *convolution(fet__build *b, const char *name, fet__node *x, int out)
{
    fet__conv_options o = {.pad = 2, .bias = true, .default_init = true};

    return fet__nn_conv(b, name, x, out, 5, &o);
}

static fet__node *context_maps(fet__build *b, fet__node *x, int channels, int hidden)
{
    fet__enter(b, "context");
    x = fet__relu(b->g, fet__nn_batch_norm(b, "1", convolution(b, "0", x, hidden)));
    x = fet__relu(b->g, fet__nn_batch_norm(b, "4", convolution(b, "3", x, hidden)));
    x = convolution(b, "6", x, channels);
    fet__leave(b);
    return x;
}

fet__node *fet__arm_context(fet__build *b, fet__node *x, int support, int channels, int hidden, fet__node **mean)
{
    fet__node *context, *pair[2] = {x, NULL};
    fet__shape s;
    int64_t batch, chunk, chunks;

    if (!x)
        return NULL;
    s = x->shape;
    batch = s.dim[0];
    chunk = support > 0 && batch % support == 0 ? support : batch;
    chunks = batch / chunk;
    context = context_maps(b, x, channels, hidden);
    context = fet__reshape(b->g, context, FET_SHAPE(chunks, chunk, s.dim[1], s.dim[2], channels));
    context = fet__mean(b->g, context, 1u << 1);
    if (mean)
        *mean = fet__reshape(b->g, context, FET_SHAPE(chunks, s.dim[1], s.dim[2], channels));
    context = fet__broadcast(b->g, context, FET_SHAPE(chunks, chunk, s.dim[1], s.dim[2], channels));
    pair[1] = fet__reshape(b->g, context, FET_SHAPE(batch, s.dim[1], s.dim[2], channels));
    return fet__concat(b->g, pair, 2, 3);
}

fet__node *fet__arm_learned_loss(fet__build *b, fet__node *logits)
{
    static const char *const names[] = {"0", "2", "4"};
    static const fet__linear_options plain = {.default_init = true};
    fet__node *x = logits;

    fet__enter(b, "learned_loss");
    for (size_t i = 0; i < FET_COUNT(names); i++)
        x = fet__relu(b->g, fet__nn_linear(b, names[i], x, 32, &plain));
    x = fet__nn_linear(b, "6", x, 1, &plain);
    fet__leave(b);
    return fet__unary(b->g, FET__OP_SQRT, fet__sum_all(b->g, fet__mul(b->g, x, x)));
}
