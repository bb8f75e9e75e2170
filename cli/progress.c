/* Progress of a training run on standard error: a bar on a terminal, a plain line every few seconds elsewhere. */
#include "cli/cli.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#define BAR_SECONDS 0.1
#define LINE_SECONDS 5.0
#define BAR_WIDTH 24

static struct {
    bool on, terminal, drawn;
    double last;
} state;

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void progress_begin(bool quiet)
{
    state.on = !quiet;
    state.terminal = isatty(STDERR_FILENO) != 0;
    state.drawn = false;
    state.last = now();
}

static void time_left(char *out, size_t size, double seconds)
{
    long s = (long)(seconds + 0.5);

    if (s >= 3600)
        snprintf(out, size, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(out, size, "%ld:%02ld", s / 60, s % 60);
}

static void draw(const fet_train_progress *p)
{
    char left[32], top1[32] = "", bar[BAR_WIDTH + 1];
    double share = p->steps > 0 ? (double)p->step / (double)p->steps : 0;
    int filled = (int)(share * BAR_WIDTH);

    time_left(left, sizeof left, p->seconds_left);
    if (p->top1 >= 0)
        snprintf(top1, sizeof top1, "  top-1 %.2f %%", 100 * p->top1);
    memset(bar, '.', BAR_WIDTH);
    memset(bar, '#', (size_t)filled);
    bar[BAR_WIDTH] = '\0';
    if (state.terminal)
        fprintf(stderr, "\r\033[K[%s] %3.0f %%  ", bar, 100 * share);
    fprintf(stderr, "epoch %lld/%lld  step %lld/%lld  loss %.4f  lr %.3g  %.1f images/s  left %s%s%s",
            (long long)p->epoch + 1, (long long)p->epochs, (long long)p->step, (long long)p->steps, p->loss, p->lr,
            p->images_per_s, left, top1, state.terminal ? "" : "\n");
    state.drawn = state.terminal;
    fflush(stderr);
}

void progress_show(void *user, const fet_train_progress *p)
{
    double t;

    (void)user;
    if (!state.on)
        return;
    t = now();
    if (t - state.last < (state.terminal ? BAR_SECONDS : LINE_SECONDS) && !(state.terminal && p->step == p->steps))
        return;
    state.last = t;
    draw(p);
}

void progress_clear_line(void)
{
    if (state.drawn)
        fputs("\r\033[K", stderr);
    state.drawn = false;
}

void progress_end(void)
{
    progress_clear_line();
    state.on = false;
}
