/* Status codes and error messages of libfettle.
 *
 * Every function that can fail returns a fet_status: 0, or a negative code. The sentence that says what
 * went wrong is kept per thread and is read with fet_error_message(). Nothing else lives here. */
#ifndef FETTLE_STATUS_H
#define FETTLE_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#ifndef FET_API
#define FET_API __attribute__((visibility("default")))
#endif

/* Code, number, exit status of the program, text. */
#define FET_STATUS_MAP(X)                                                                                              \
    X(FET_OK, 0, 0, "success")                                                                                         \
    X(FET_E_ARG, -1, 2, "invalid argument")                                                                            \
    X(FET_E_FORMAT, -2, 1, "malformed or unsuitable file")                                                             \
    X(FET_E_IO, -3, 1, "input/output error")                                                                           \
    X(FET_E_NOMEM, -4, 1, "out of memory or over the memory budget")                                                   \
    X(FET_E_NOMATCH, -5, 1, "nothing matched")                                                                         \
    X(FET_E_VERIFY, -6, 3, "results differ beyond the tolerance")                                                      \
    X(FET_E_NUMERIC, -7, 1, "a value is not finite")                                                                   \
    X(FET_E_INTERRUPTED, -8, 130, "interrupted")                                                                       \
    X(FET_E_DATA, -9, 1, "unsuitable data")                                                                            \
    X(FET_E_BUG, -10, 1, "internal error")

typedef enum fet_status {
#define X(name, number, exit_status, text) name = number,
    FET_STATUS_MAP(X)
#undef X
} fet_status;

/* Short text of a code ("malformed or unsuitable file"). Static; never NULL. */
FET_API const char *fet_status_text(fet_status status);

/* Exit status that the program uses for a code (see the table above). */
FET_API int fet_status_exit(fet_status status);

/* The sentence that describes the last failure on this thread: what, where, why. Borrowed; valid until the
 * next failing call on this thread; "" when nothing failed yet. */
FET_API const char *fet_error_message(void);

/* Receives notices that do not stop the work (a skipped image, an unused tensor). `level` is 0 for a note and
 * 1 for a warning; `text` is one line without a newline, borrowed for the call. May be called from any thread. */
typedef void (*fet_log_fn)(void *user, int level, const char *text);

/* Set the receiver; NULL drops notices (the default). The library itself never prints. */
FET_API void fet_set_log(fet_log_fn fn, void *user);

#ifdef __cplusplus
}
#endif
#endif
