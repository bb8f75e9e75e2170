/* Signals: the first SIGINT or SIGTERM asks the work to stop and save, the second one kills. */
#include "cli/cli.h"

#include <signal.h>
#include <string.h>

volatile int stop_signal;

static void on_stop(int signal_number)
{
    stop_signal = signal_number;
    signal(signal_number, SIG_DFL);
}

void signals_catch_stop(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = on_stop;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* Writing past a limit or into a closed pipe then fails with an error that gets a sentence. */
void signals_ignore_file_size_and_pipe(void)
{
    signal(SIGXFSZ, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
}
