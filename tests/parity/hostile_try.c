/* One hostile file in a child process, so that a crash, a hang or a grab for memory is an outcome and not our own end.
 * The child may neither start a program nor open anything for writing: the kernel kills it on the attempt, which is how
 * "nothing is executed or written" is checked. Memory is limited and measured; time is limited and measured. */
#include "parity/hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define TIME_LIMIT 3 /* seconds until the child is killed; the verdict's own limit is tighter */
#define MEMORY_LIMIT ((int64_t)64 << 20)

/* ---- what the child may not do ----------------------------------------------------------------------------------- */

#define NUMBER_AT offsetof(struct seccomp_data, nr)
#define LOW_WORD(i) (offsetof(struct seccomp_data, args[i]) + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0))
#define KILL BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define FORBID(call) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (call), 0, 1), KILL
/* The call with any of `bits` in argument `i`; otherwise it is allowed. */
#define FORBID_BITS(call, i, bits)                                                                                     \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (call), 0, 4), BPF_STMT(BPF_LD | BPF_W | BPF_ABS, LOW_WORD(i)),                \
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (bits), 0, 1), KILL, ALLOW
#define WRITING (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)

static bool lock_in(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, NUMBER_AT),
        FORBID(__NR_execve),
        FORBID(__NR_execveat),
        FORBID(__NR_clone),
        FORBID(__NR_clone3),
#ifdef __NR_fork
        FORBID(__NR_fork),
        FORBID(__NR_vfork),
        FORBID(__NR_creat),
        FORBID_BITS(__NR_open, 1, WRITING),
#endif
        FORBID_BITS(__NR_openat, 2, WRITING),
        ALLOW,
    };
    struct sock_fprog program = {.len = FET_COUNT(filter), .filter = filter};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* A sanitizer takes terabytes of addresses and keeps what is freed: memory is then not limited. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

bool hostile_memory_is_unlimited(void)
{
    return SANITIZED;
}

/* The file is mapped once or twice beside what its reader takes. */
static bool limit_memory(const char *path)
{
    struct stat info;
    struct rlimit limit;
    long pages = 0;
    FILE *f;
    bool known;

    if (SANITIZED)
        return true;
    f = fopen("/proc/self/statm", "r");
    known = f && fscanf(f, "%ld", &pages) == 1 && stat(path, &info) == 0;
    if (f)
        fclose(f);
    if (!known)
        return false;
    limit.rlim_cur = (rlim_t)(pages * (int64_t)sysconf(_SC_PAGESIZE) + 2 * (int64_t)info.st_size + MEMORY_LIMIT);
    limit.rlim_max = limit.rlim_cur;
    return setrlimit(RLIMIT_AS, &limit) == 0;
}

/* ---- the child --------------------------------------------------------------------------------------------------- */

static int64_t peak(void)
{
    struct rusage use;

    return getrusage(RUSAGE_SELF, &use) == 0 ? (int64_t)use.ru_maxrss * 1024 : 0;
}

static void keep_warning(void *user, int level, const char *text)
{
    hostile_outcome *o = user;

    if (level > 0 && !o->warning[0])
        snprintf(o->warning, sizeof o->warning, "%s", text);
}

static _Noreturn void child(int pipe_end, const char *path, hostile_reader read)
{
    hostile_outcome o = {.ended = true};
    int64_t before;
    double start;

    alarm(TIME_LIMIT);
    fet_set_log(keep_warning, &o);
    if (!limit_memory(path) || !lock_in())
        _exit(3);
    before = peak();
    start = fet__now();
    o.st = read(path, &o);
    o.seconds = fet__now() - start;
    o.grown = SANITIZED ? 0 : peak() - before;
    if (o.st != FET_OK)
        snprintf(o.message, sizeof o.message, "%s", fet_error_message());
    _exit(write(pipe_end, &o, sizeof o) == (ssize_t)sizeof o ? 0 : 4);
}

fet_status hostile_try(hostile_outcome *o, const char *path, hostile_reader read_file)
{
    int ends[2], status = 0;
    pid_t pid;

    _Static_assert(sizeof *o < 4096, "an outcome goes through a pipe in one piece");
    memset(o, 0, sizeof *o);
    fflush(stdout);
    if (pipe(ends) != 0)
        return FET_FAIL(FET_E_IO, "no pipe: %s", strerror(errno));
    pid = fork();
    if (pid == 0)
        child(ends[1], path, read_file);
    close(ends[1]);
    if (pid > 0 && read(ends[0], o, sizeof *o) != (ssize_t)sizeof *o)
        memset(o, 0, sizeof *o);
    close(ends[0]);
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return FET_FAIL(FET_E_IO, "no child process: %s", strerror(errno));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 3)
        return FET_FAIL(FET_E_IO, "the system cannot limit a child process (RLIMIT_AS, seccomp)");
    o->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    return FET_OK;
}
