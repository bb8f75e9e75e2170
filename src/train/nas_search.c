/* The loop of a search (methods/quadranet.md 9.5): epochs of weights alone, then steps of weights and steps of alpha in turn, each of a
 * freshly drawn path and by images of its own. Draws and batches are functions of the seed and the step's number, so that a search
 * killed at any moment goes on to the same bits. What is made of the alphas is method/'s. */
#include "train/nas_loop.h"

#include <math.h>
#include <string.h>

#define SAVE_SECONDS 60.0
#define PI 3.14159265358979323846

enum { WEIGHTS, ALPHAS };

/* ---- saving ------------------------------------------------------------------------------------------------------- */

static void take_time(fet__nas_run *r)
{
    double now = fet__now();

    r->s.seconds += now - r->begun;
    r->begun = now;
}

static fet_status save(fet__nas_run *r)
{
    fet_status st;

    take_time(r);
    st = fet__nas_state_write(r);
    r->saved = fet__now();
    return st;
}

static fet_status interrupted(fet__nas_run *r)
{
    fet_status st = save(r);

    if (st != FET_OK)
        return st;
    return FET_FAIL(FET_E_INTERRUPTED,
                    "stopped by signal %d at step %lld of the search and saved: --resume goes on from there",
                    *r->o->stop, (long long)r->s.step);
}

/* ---- steps -------------------------------------------------------------------------------------------------------- */

/* Each of the two parts of the search falls along a cosine of its own. */
static double rate_at(const fet__nas_run *r, int64_t step)
{
    bool warm = r->s.epoch < r->o->warmup;
    int64_t begun = warm ? 0 : r->o->warmup * r->epoch_steps;
    int64_t all = (warm ? r->o->warmup : r->o->epochs) * r->epoch_steps;

    return 0.5 * (warm ? r->o->warmup_lr : r->o->lr) * (1 + cos(PI * (double)(step - begun) / (double)all));
}

static void feed(const fet__nas_run *r, const fet__nas_step *s, const fet__batch *b)
{
    size_t batch = (size_t)r->super.batch, values = (size_t)r->o->frame->height * (size_t)r->o->frame->width * 3;
    float *images = fet__program_input(s->program, "images");
    int32_t *labels = fet__program_input(s->program, "labels");

    memcpy(images, b->images, batch * values * sizeof *images);
    memcpy(labels, b->labels, batch * sizeof *labels);
}

static fet_status diverged(const fet__nas_run *r, const char *what)
{
    return FET_FAIL(FET_E_NUMERIC,
                    "the %s is not finite at step %lld (epoch %lld) of the search with learning rate %g; the last good "
                    "state, if there is one, is in %s",
                    what, (long long)r->s.step, (long long)r->s.epoch, rate_at(r, r->s.step), fet__show(r->state_path));
}

static fet_status compute(fet__nas_run *r, fet__nas_step *s, const fet__batch *b)
{
    fet_status st;

    feed(r, s, b);
    st = fet__program_run(s->program);
    if (st == FET_E_NUMERIC && !r->o->check_finite)
        return diverged(r, "loss");
    return st;
}

static fet_status weight_step(fet__nas_run *r, const fet__batch *b)
{
    double begun = fet__now(), built, norm;
    fet__nas_step s;
    fet_status st;

    FET_TRY(fet__nas_draw(&r->gates, false, r->o->seed, 2 * r->s.step, r->choice));
    FET_TRY(fet__nas_step_create(&s, &r->super, r->choice, false));
    built = fet__now();
    st = compute(r, &s, b);
    if (st == FET_OK) {
        norm = fet__nas_norm(s.param, s.grad, s.count);
        if (isfinite(norm))
            fet__nas_descend(&r->super, s.param, s.grad, s.count, norm, rate_at(r, r->s.step));
        else
            st = diverged(r, "gradient");
        r->s.loss_sum += (double)*s.loss;
    }
    r->build_seconds += built - begun;
    r->run_seconds += fet__now() - built;
    r->session_steps++;
    if (fet__program_describe(s.program).total_bytes > r->step_bytes)
        r->step_bytes = fet__program_describe(s.program).total_bytes;
    fet__nas_step_fini(&s);
done:
    return st;
}

/* ---- alpha -------------------------------------------------------------------------------------------------------- */

/* Costs act on the loss one after the other; each is given what the ones before it made of it. */
static fet_status objective(fet__nas_run *r, double ce, double *loss, double *by_ce, double by_cost[FET__NAS_LIMITS])
{
    fet_status st = FET_OK;

    *loss = ce;
    *by_ce = 1;
    for (int k = 0; k < r->o->costs; k++) {
        const fet__nas_cost *c = &r->o->cost[k];
        fet__nas_loss l;

        FET_TRY(fet__nas_loss_at(&c->objective, *loss, fet__nas_expected(&r->gates, r->choice, c->cost, c->fixed), &l));
        *loss = l.loss;
        *by_ce *= l.by_ce;
        for (int i = 0; i < k; i++)
            by_cost[i] *= l.by_ce;
        by_cost[k] = l.by_cost;
    }
done:
    return st;
}

static fet_status move_alphas(fet__nas_run *r, const fet__nas_step *s)
{
    int gates = r->gates.positions * FET__NAS_SPACE;
    double loss, by_ce, by_cost[FET__NAS_LIMITS] = {0}, *slope = NULL;
    fet_status st;

    FET_TRY(objective(r, (double)*s->loss, &loss, &by_ce, by_cost));
    FET_TRY(FET_NEW(slope, gates));
    fet__convert(slope, FET_F64, s->slopes, FET_F32, gates);
    memset(r->grad, 0, (size_t)gates * sizeof *r->grad);
    fet__nas_pull(&r->gates, r->choice, slope, by_ce, r->grad);
    for (int k = 0; k < r->o->costs; k++)
        fet__nas_pull(&r->gates, r->choice, r->o->cost[k].cost, by_cost[k], r->grad);
    FET_TRY(fet__nas_update(&r->gates, r->choice, r->grad));
    r->s.alpha_sum += loss;
    r->s.alpha_steps++;
    r->s.epoch_alphas++;
done:
    fet__free(slope);
    return st;
}

/* The next batch of the alphas' images: their epochs are passes over these, however many steps of weights lie between. */
static fet_status alpha_batch(fet__nas_run *r, const fet__batch **out)
{
    int64_t steps = fet__loader_steps(r->loader[ALPHAS]), epoch = r->s.alpha_steps / steps;
    fet_status st = FET_OK;

    if (epoch != r->alpha_epoch)
        FET_TRY(fet__loader_start(r->loader[ALPHAS], epoch, r->s.alpha_steps % steps));
    r->alpha_epoch = epoch;
    FET_TRY(fet__loader_next(r->loader[ALPHAS], out));
    if (!*out)
        st = FET_FAIL(FET_E_BUG, "the images of the gates ended before their epoch");
done:
    return st;
}

static fet_status alpha_step(fet__nas_run *r)
{
    const fet__batch *b;
    fet__nas_step s;
    fet_status st;

    FET_TRY(alpha_batch(r, &b));
    FET_TRY(fet__nas_draw(&r->gates, r->o->pair, r->o->seed, 2 * r->s.step + 1, r->choice));
    FET_TRY(fet__nas_step_create(&s, &r->super, r->choice, true));
    st = compute(r, &s, b);
    if (st == FET_OK)
        st = move_alphas(r, &s);
    if (fet__program_describe(s.program).total_bytes > r->alpha_bytes)
        r->alpha_bytes = fet__program_describe(s.program).total_bytes;
    fet__nas_step_fini(&s);
    r->epoch_images += b->count;
done:
    return st;
}

/* ---- epochs ------------------------------------------------------------------------------------------------------- */

static bool alpha_due(const fet__nas_run *r)
{
    return r->s.epoch >= r->o->warmup && (r->s.epoch_step + 1) % r->o->alpha_every == 0;
}

static void report(const fet__nas_run *r)
{
    double now = fet__now(), spent = now - r->epoch_begun;
    int64_t done = r->s.epoch_step ? r->s.epoch_step : 1;
    fet__progress p = {.step = r->s.step,
                       .steps = r->steps,
                       .epoch = r->s.epoch,
                       .epochs = r->o->warmup + r->o->epochs,
                       .loss = r->s.loss_sum / (double)done,
                       .lr = rate_at(r, r->s.step),
                       .images_per_s = spent > 0 ? (double)r->epoch_images / spent : 0,
                       .top1 = -1};

    if (!r->o->progress)
        return;
    p.seconds_left = r->session_steps > 0 ? (double)(r->steps - r->s.step) * spent / (double)done : 0;
    r->o->progress(r->o->user, &p);
}

static fet_status one_step(fet__nas_run *r, const fet__batch *b)
{
    fet_status st;

    FET_TRY(weight_step(r, b));
    if (alpha_due(r))
        FET_TRY(alpha_step(r));
    r->s.step++;
    r->s.epoch_step++;
    r->epoch_images += b->count;
    report(r);
done:
    return st;
}

static fet_status end_epoch(fet__nas_run *r)
{
    double spent = fet__now() - r->epoch_begun;
    double lr = rate_at(r, r->s.step - 1); /* of the last step, which another session may have done */
    fet_status st;

    r->s.last_loss = r->s.loss_sum / (double)r->s.epoch_step;
    r->s.last_alpha = r->s.epoch_alphas ? r->s.alpha_sum / (double)r->s.epoch_alphas : (double)NAN;
    take_time(r);
    FET_TRY(fet__nas_log_append(r, lr, spent > 0 ? (double)r->epoch_images / spent : 0));
    r->s.epoch++;
    r->s.epoch_step = r->s.epoch_alphas = 0;
    r->s.loss_sum = r->s.alpha_sum = 0;
    st = save(r);
done:
    return st;
}

static fet_status run_epoch(fet__nas_run *r)
{
    const fet__batch *b;
    fet_status st;

    r->epoch_begun = fet__now();
    r->epoch_images = 0;
    FET_TRY(fet__loader_start(r->loader[WEIGHTS], r->s.epoch, r->s.epoch_step));
    while (r->s.epoch_step < r->epoch_steps) {
        if (r->o->stop && *r->o->stop)
            return interrupted(r);
        FET_TRY(fet__loader_next(r->loader[WEIGHTS], &b));
        if (!b)
            return FET_FAIL(FET_E_BUG, "the images of the weights ended before their epoch");
        FET_TRY(one_step(r, b));
        if (fet__now() - r->saved > r->save_seconds)
            FET_TRY(save(r));
    }
    if (r->o->stop && *r->o->stop)
        return interrupted(r);
    st = end_epoch(r);
done:
    return st;
}

/* ---- beginning and end ---------------------------------------------------------------------------------------------- */

static fet_status open_loader(fet__nas_run *r, int part)
{
    fet__loader_options o = {.preprocess = r->o->preprocess,
                             .batch = r->super.batch,
                             .augment = part == WEIGHTS ? r->o->augment : NULL,
                             .shuffle = true,
                             .seed = r->o->seed + (uint64_t)part,
                             .cache_bytes = fet__free_memory() / 16};

    return fet__loader_create(&r->loader[part], r->samples[part], r->count[part], &o);
}

static fet_status open_run(fet__nas_run *r)
{
    const fet__quadranet *q = r->o->frame->config;
    int positions = 0;
    fet_status st;

    for (int i = 0; i < QUADRANET_STAGES; i++)
        positions += q->depths[i];
    r->super = (fet__nas_super){.frame = r->o->frame,
                                .descent = r->o->descent,
                                .positions = positions,
                                .batch = r->o->batch,
                                .smoothing = r->o->smoothing,
                                .seed = r->o->seed,
                                .check_finite = r->o->check_finite};
    FET_TRY(fet__nas_split(r));
    FET_TRY(FET_NEW(r->choice, positions));
    FET_TRY(FET_NEW(r->grad, positions * FET__NAS_SPACE));
    FET_TRY(fet__nas_gates_create(&r->gates, positions, FET__NAS_SPACE, r->o->seed));
    r->gates.lr = r->o->alpha_lr;
    FET_TRY(fet__nas_super_create(&r->super));
    FET_TRY(open_loader(r, WEIGHTS));
    FET_TRY(open_loader(r, ALPHAS));
    r->epoch_steps = fet__loader_steps(r->loader[WEIGHTS]);
    r->steps = (r->o->warmup + r->o->epochs) * r->epoch_steps;
    r->alpha_epoch = -1;
done:
    return st;
}

/* Budget, batch and thread count of the first start hold for good: the same plans are made, and sums are taken in the same order. */
static fet_status peek(fet__nas_run *r)
{
    fet_status st;

    FET_TRY(fet__nas_json_check(r));
    FET_TRY(fet__nas_state_peek(r));
    if (r->s.batch != r->o->batch)
        return FET_FAIL(FET_E_ARG, "the search began with batch %d, not %d", r->s.batch, r->o->batch);
    if (r->s.threads >= 1 && r->s.threads != fet__threads()) {
        fet__note("the search goes on with %d threads, as it began", r->s.threads);
        fet__set_threads(r->s.threads);
    }
done:
    return st;
}

static fet_status begin(fet__nas_run *r, bool has_state)
{
    fet_status st;

    r->s = (fet__nas_state){.last_loss = (double)NAN,
                            .last_alpha = (double)NAN,
                            .memory = r->o->memory > 0 ? r->o->memory : fet__free_memory(),
                            .threads = fet__threads(),
                            .batch = r->o->batch};
    if (has_state)
        FET_TRY(peek(r));
    FET_TRY(open_run(r));
    if (has_state)
        FET_TRY(fet__nas_state_read(r));
    r->super.memory = r->s.memory;
    FET_TRY(fet__make_folder(r->folder.path));
    FET_TRY(fet__nas_log_resume(r));
    if (!has_state)
        FET_TRY(fet__nas_json_write(r));
    r->begun = r->saved = fet__now();
done:
    return st;
}

static void fill(fet__nas_search_result *out, fet__nas_run *r)
{
    double images = (double)(r->s.step + r->s.alpha_steps) * r->super.batch, steps = (double)r->session_steps;

    *out = (fet__nas_search_result){.gates = r->gates,
                                    .steps = r->s.step,
                                    .alpha_steps = r->s.alpha_steps,
                                    .epochs = r->s.epoch,
                                    .loss = r->s.last_loss,
                                    .alpha_loss = r->s.last_alpha,
                                    .entropy = fet__nas_entropy(&r->gates),
                                    .seconds = r->s.seconds,
                                    .images_per_s = r->s.seconds > 0 ? images / r->s.seconds : 0,
                                    .build_seconds = steps > 0 ? r->build_seconds / steps : 0,
                                    .run_seconds = steps > 0 ? r->run_seconds / steps : 0,
                                    .weight_bytes = fet__params_bytes(r->super.store),
                                    .step_bytes = r->step_bytes,
                                    .alpha_bytes = r->alpha_bytes};
    for (int k = 0; k < r->o->costs; k++)
        out->expected[k] = fet__nas_expected_of(&r->gates, &r->o->cost[k]);
    r->gates = (fet__nas_gates){0};
}

static fet_status open_folder(fet__nas_run *r, bool *has_state)
{
    bool trained;
    fet_status st;

    FET_TRY(fet__run_open(&r->folder, r->o->out, r->o->resume, &trained));
    r->state_path = fet__path_join(r->o->out, "search.safetensors");
    r->log_path = fet__path_join(r->o->out, "search.csv");
    if (!r->state_path || !r->log_path)
        return FET_E_NOMEM;
    *has_state = r->o->resume && fet__file_exists(r->state_path);
    if (trained && !*has_state)
        st = FET_FAIL(FET_E_FORMAT, "%s: a run without a search", fet__show(r->o->out));
done:
    return st;
}

fet_status fet__nas_search(fet__nas_search_result *out, const fet__nas_search_options *o)
{
    fet__nas_run r = {.o = o, .save_seconds = o->save_seconds > 0 ? o->save_seconds : SAVE_SECONDS};
    bool has_state;
    fet_status st;

    memset(out, 0, sizeof *out);
    FET_TRY(open_folder(&r, &has_state));
    FET_TRY(begin(&r, has_state));
    while (r.s.epoch < o->warmup + o->epochs)
        FET_TRY(run_epoch(&r));
    fill(out, &r);
done:
    for (int k = 0; k < 2; k++) {
        fet__loader_destroy(r.loader[k]);
        fet__free(r.samples[k]);
    }
    fet__nas_super_fini(&r.super);
    fet__nas_gates_fini(&r.gates);
    fet__free(r.choice);
    fet__free(r.grad);
    fet__free(r.state_path);
    fet__free(r.log_path);
    fet__run_close(&r.folder);
    return st;
}
