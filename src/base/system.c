/* What the machine offers: threads, clock, free memory, the processor's instruction set, and its denormal mode.
 * Control-group limits are read in cgroup.c. Works with and without OpenMP. */
#include "base/base_int.h"

#include <inttypes.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#ifdef _OPENMP
#include <omp.h>
#endif
#if defined(__x86_64__) || defined(__i386__)
#define X86 1
#include <cpuid.h>
#include <xmmintrin.h>
#endif

#define CGROUP_MOUNT "/sys/fs/cgroup"
#define CGROUP_SELF "/proc/self/cgroup"
#define THREADS_MAX 4096

/* ---- threads ---- */

static atomic_int thread_count; /* 0: not asked for yet */

/* Processors in the affinity mask; masks of large machines need more room than cpu_set_t has. */
static int affinity_count(void)
{
    for (int cpus = 1024; cpus <= 1 << 20; cpus *= 4) {
        cpu_set_t *set = CPU_ALLOC(cpus);
        size_t bytes = CPU_ALLOC_SIZE(cpus);
        int count = 0;

        if (!set)
            break;
        if (sched_getaffinity(0, bytes, set) == 0)
            count = CPU_COUNT_S(bytes, set);
        CPU_FREE(set);
        if (count > 0)
            return count;
    }
    return (int)sysconf(_SC_NPROCESSORS_ONLN);
}

static int default_threads(void)
{
    const char *wish = getenv("OMP_NUM_THREADS"); /* may be a list, one for each nesting level */
    int quota, n;

    if (wish) {
        long v = strtol(wish, NULL, 10);

        if (v >= 1)
            return v < THREADS_MAX ? (int)v : THREADS_MAX;
    }
    n = affinity_count();
    quota = fet__cgroup_cpus(CGROUP_MOUNT, CGROUP_SELF);
    if (quota > 0 && quota < n)
        n = quota;
    return n < 1 ? 1 : n < THREADS_MAX ? n : THREADS_MAX;
}

int fet__threads(void)
{
    int n = atomic_load(&thread_count);

    if (n == 0) {
        int expected = 0;

        n = default_threads();
        if (!atomic_compare_exchange_strong(&thread_count, &expected, n))
            n = expected;
    }
    return n;
}

void fet__set_threads(int n)
{
    if (n < 1)
        n = 1;
    if (n > THREADS_MAX)
        n = THREADS_MAX;
    atomic_store(&thread_count, n);
#ifdef _OPENMP
    omp_set_num_threads(n);
#endif
}

int fet__thread_index(void)
{
#ifdef _OPENMP
    return omp_get_thread_num();
#else
    return 0;
#endif
}

double fet__now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- memory ---- */

/* The kilobytes behind "Key:" in a file of /proc, as bytes; -1 when it is not there. */
static int64_t proc_bytes(const char *path, const char *key)
{
    char line[256];
    size_t length = strlen(key);
    int64_t kilobytes = -1;
    FILE *f = fopen(path, "re");

    if (!f)
        return -1;
    while (kilobytes < 0 && fgets(line, sizeof line, f))
        if (strncmp(line, key, length) == 0 && line[length] == ':')
            if (sscanf(line + length + 1, "%" SCNd64, &kilobytes) != 1)
                break;
    fclose(f);
    return kilobytes < 0 ? -1 : kilobytes * 1024;
}

/* What `ulimit -v` still allows, or -1. */
static int64_t address_space_left(void)
{
    struct rlimit limit;
    int64_t used = proc_bytes("/proc/self/status", "VmSize");

    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || used < 0)
        return -1;
    return (int64_t)limit.rlim_cur > used ? (int64_t)limit.rlim_cur - used : 0;
}

int64_t fet__free_memory(void)
{
    int64_t least = proc_bytes("/proc/meminfo", "MemAvailable");
    int64_t limits[2] = {fet__cgroup_memory_left(CGROUP_MOUNT, CGROUP_SELF), address_space_left()};

    if (least < 0)
        least = (int64_t)sysconf(_SC_AVPHYS_PAGES) * sysconf(_SC_PAGESIZE);
    for (int i = 0; i < 2; i++)
        if (limits[i] >= 0 && limits[i] < least)
            least = limits[i];
    return least;
}

/* getrusage would also count what the parent held before exec, so the address space's own mark comes first. */
int64_t fet__peak_rss(void)
{
    struct rusage usage;
    int64_t mark = proc_bytes("/proc/self/status", "VmHWM");

    if (mark >= 0)
        return mark;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (int64_t)usage.ru_maxrss * 1024 : 0;
}

/* ---- processor ---- */

static const char *const cpu_names[] = {"base", "avx2", "avx512"};

static fet__cpu best_cpu(void)
{
#ifdef X86
    unsigned a, b, c = 0, d;
    bool f16c = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C); /* no name in clang 14's cpu_supports */

    __builtin_cpu_init();
    if (!f16c || !__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        return FET__CPU_BASE;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        return FET__CPU_AVX512;
    return FET__CPU_AVX2;
#else
    return FET__CPU_BASE;
#endif
}

static fet__cpu capped_cpu(void)
{
    const char *wish = getenv("FETTLE_CPU");
    fet__cpu best = best_cpu();

    if (!wish || !*wish)
        return best;
    for (int i = 0; i < (int)FET_COUNT(cpu_names); i++)
        if (strcmp(wish, cpu_names[i]) == 0)
            return (fet__cpu)i < best ? (fet__cpu)i : best;
    fet__warn("FETTLE_CPU=%s is not base, avx2 or avx512: using %s", fet__show(wish), cpu_names[best]);
    return best;
}

fet__cpu fet__cpu_level(void)
{
    static atomic_int level = -1;
    int now = atomic_load(&level);

    if (now < 0) {
        now = (int)capped_cpu();
        atomic_store(&level, now);
    }
    return (fet__cpu)now;
}

const char *fet__cpu_text(void)
{
    return cpu_names[fet__cpu_level()];
}

/* ---- denormals ---- */

#ifdef X86
#define FLUSH_TO_ZERO 0x8000u
#define DENORMALS_ARE_ZERO 0x0040u
#define DENORMAL_BITS (FLUSH_TO_ZERO | DENORMALS_ARE_ZERO)

/* The mode belongs to a thread, so each thread of the team sets its own. Other bits (rounding, masks) stay. */
static void set_mode_everywhere(unsigned bits)
{
#ifdef _OPENMP
#pragma omp parallel num_threads(fet__threads())
#endif
    _mm_setcsr((_mm_getcsr() & ~DENORMAL_BITS) | bits);
}

unsigned fet__denormals_off(void)
{
    unsigned before = _mm_getcsr() & DENORMAL_BITS;

    set_mode_everywhere(DENORMAL_BITS);
    return before;
}

void fet__denormals_restore(unsigned mode)
{
    set_mode_everywhere(mode & DENORMAL_BITS);
}
#else
unsigned fet__denormals_off(void)
{
    return 0;
}

void fet__denormals_restore(unsigned mode)
{
    (void)mode;
}
#endif
