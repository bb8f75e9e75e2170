/* Status codes, the per-thread sentence about the last failure, and the receiver of notices. Nothing is printed here:
 * the program decides what a user sees. */
#include "base/base.h"

#include <pthread.h>
#include <string.h>

#define MESSAGE_MAX 2048

static _Thread_local char last[MESSAGE_MAX];

/* The receiver is two words that must change together, and notices are rare: a lock is cheap enough. */
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static fet_log_fn log_fn;
static void *log_user;

const char *fet_status_text(fet_status status)
{
    switch (status) {
#define X(name, number, exit_status, text)                                                                             \
    case name: return text;
        FET_STATUS_MAP(X)
#undef X
    }
    return "unknown status";
}

int fet_status_exit(fet_status status)
{
    switch (status) {
#define X(name, number, exit_status, text)                                                                             \
    case name: return exit_status;
        FET_STATUS_MAP(X)
#undef X
    }
    return 1;
}

const char *fet_error_message(void)
{
    return last;
}

/* vsnprintf that marks a cut text with "...", without leaving half of a UTF-8 sequence before the mark. */
static void print_cut(char *out, size_t size, const char *format, va_list ap)
{
    int length = vsnprintf(out, size, format, ap);

    if (length < 0) {
        out[0] = '\0';
        return;
    }
    if ((size_t)length >= size) {
        size_t at = size - 4;

        while (at > 0 && ((unsigned char)out[at] & 0xc0) == 0x80)
            at--;
        memcpy(out + at, "...", 4);
    }
}

/* The arguments may point into the present message, so the new one is built beside it. */
fet_status fet__fail(fet_status code, const char *format, ...)
{
    char fresh[MESSAGE_MAX];
    va_list ap;

    va_start(ap, format);
    print_cut(fresh, sizeof fresh, format, ap);
    va_end(ap);
    memcpy(last, fresh, strlen(fresh) + 1);
    return code;
}

fet_status fet__fail_in(fet_status code, const char *format, ...)
{
    char context[MESSAGE_MAX / 2];
    va_list ap;

    va_start(ap, format);
    print_cut(context, sizeof context, format, ap);
    va_end(ap);
    return fet__fail(code, "%s: %s", context, last);
}

fet_status fet__fail_take(fet_status code, const char *message)
{
    return fet__fail(code, "%s", message);
}

void fet_set_log(fet_log_fn fn, void *user)
{
    pthread_mutex_lock(&log_lock);
    log_fn = fn;
    log_user = user;
    pthread_mutex_unlock(&log_lock);
}

/* The receiver runs outside the lock, so that it may itself call fet_set_log. */
static void send_notice(int level, const char *format, va_list ap) FET_PRINTF(2, 0);
static void send_notice(int level, const char *format, va_list ap)
{
    char text[MESSAGE_MAX];
    fet_log_fn fn;
    void *user;

    pthread_mutex_lock(&log_lock);
    fn = log_fn;
    user = log_user;
    pthread_mutex_unlock(&log_lock);
    if (!fn)
        return;
    print_cut(text, sizeof text, format, ap);
    fn(user, level, text);
}

void fet__note(const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    send_notice(0, format, ap);
    va_end(ap);
}

void fet__warn(const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    send_notice(1, format, ap);
    va_end(ap);
}
