/* A parallel loop over independent items for work that is not the loader's: checking, statistics, drawing. */
#include "data/data_int.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

struct loop {
    fet__each_fn fn;
    void *user;
    int64_t count;
    _Atomic int64_t next;
    atomic_int worker;
};

static void *run(void *argument)
{
    struct loop *l = argument;
    int worker = atomic_fetch_add(&l->worker, 1);
    for (;;) {
        int64_t i = atomic_fetch_add(&l->next, 1);
        if (i >= l->count)
            return NULL;
        l->fn(l->user, worker, i);
    }
}

void fet__each(int64_t count, int threads, fet__each_fn fn, void *user)
{
    struct loop l = {.fn = fn, .user = user, .count = count};
    pthread_t helper[FET__EACH_THREADS];
    int helpers = 0;
    int want = threads < FET__EACH_THREADS ? threads : FET__EACH_THREADS;
    if (want > count)
        want = (int)count;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals stay with the threads that expect them */
    /* A thread that cannot be had is no failure: the others, at least the caller, do its share. */
    while (helpers < want - 1 && pthread_create(&helper[helpers], NULL, run, &l) == 0)
        helpers++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    run(&l);
    for (int i = 0; i < helpers; i++)
        pthread_join(helper[i], NULL);
}
