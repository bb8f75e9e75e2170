/* Threads, memory limits (with made-up control groups), processor level and denormals. What is decided once per process
 * is tested in children. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "base/base_int.h"

static int in_child(int (*act)(void))
{
    int status = -1;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        _exit(act());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* ---- threads ---- */

static int one_processor(void)
{
    cpu_set_t set;
    int cpu = sched_getcpu();

    unsetenv("OMP_NUM_THREADS");
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return sched_setaffinity(0, sizeof set, &set) == 0 ? fet__threads() : 200;
}

static int three_by_environment(void)
{
    setenv("OMP_NUM_THREADS", "3,2", 1);
    return fet__threads();
}

static int five_by_call(void)
{
    int seen = 0;

    setenv("OMP_NUM_THREADS", "3", 1);
    fet__set_threads(5);
#ifdef _OPENMP
#pragma omp parallel
    {
#pragma omp atomic
        seen++;
        if (fet__thread_index() != omp_get_thread_num())
            abort();
    }
#else
    seen = 5;
#endif
    return fet__threads() == 5 && fet__thread_index() == 0 ? seen : 100;
}

static int at_least_one(void)
{
    fet__set_threads(0);
    return fet__threads();
}

static void thread_count_follows_affinity_environment_and_call(void **state)
{
    (void)state;
    assert_int_equal(in_child(one_processor), 1);
    assert_int_equal(in_child(three_by_environment), 3);
    assert_int_equal(in_child(five_by_call), 5);
    assert_int_equal(in_child(at_least_one), 1);
}

static void time_goes_forward(void **state)
{
    double a = fet__now(), b;

    (void)state;
    usleep(20000);
    b = fet__now();
    assert_true(b - a >= 0.0199 && b - a < 30);
}

/* ---- memory ---- */

static void memory_figures_are_plausible(void **state)
{
    int64_t peak = fet__peak_rss();
    size_t bytes = (size_t)48 << 20;
    volatile char *p = fet__alloc_raw(bytes, 1);

    (void)state;
    assert_non_null((void *)(uintptr_t)p);
    assert_true(fet__free_memory() > (1 << 20));
    assert_true(peak > (1 << 19));
    for (size_t i = 0; i < bytes; i += 4096)
        p[i] = 1;
    assert_true(fet__peak_rss() >= (int64_t)bytes);
    fet__free((void *)(uintptr_t)p);
    assert_true(fet__peak_rss() >= (int64_t)bytes); /* a peak does not go down */
}

static char root[64];

static void put(const char *name, const char *text)
{
    char path[256], *slash;
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", root, name);
    slash = strrchr(path, '/');
    *slash = '\0';
    assert_int_equal(fet__make_folder(path), FET_OK);
    *slash = '/';
    f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int make_root(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "test-groups-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int drop_root(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command);
}

static int64_t memory_left(void)
{
    char self[128];

    snprintf(self, sizeof self, "%s/self", root);
    return fet__cgroup_memory_left(root, self);
}

static int cpus(void)
{
    char self[128];

    snprintf(self, sizeof self, "%s/self", root);
    return fet__cgroup_cpus(root, self);
}

static void the_tightest_group_counts(void **state)
{
    (void)state;
    assert_int_equal(memory_left(), -1); /* nothing is there */
    assert_int_equal(cpus(), -1);
    put("self", "1:name=systemd:/elsewhere\n0::/user/job\n");
    put("user/job/memory.max", "max\n");
    put("user/job/memory.current", "500\n");
    assert_int_equal(memory_left(), -1);
    put("user/memory.max", "1000\n");
    put("user/memory.current", "900\n");
    put("user/memory.stat", "anon 600\ninactive_file 150\nactive_file 10\n");
    assert_int_equal(memory_left(), 250);
    put("user/job/memory.max", "700\n");
    assert_int_equal(memory_left(), 200);
    put("user/job/memory.current", "800\n");
    assert_int_equal(memory_left(), 0);
    put("user/job/cpu.max", "max 100000\n");
    put("user/cpu.max", "250000 100000\n");
    assert_int_equal(cpus(), 3);
    put("user/job/cpu.max", "100000 100000\n");
    assert_int_equal(cpus(), 1);
}

static void a_container_sees_only_the_mount(void **state)
{
    (void)state;
    put("self", "0::/not/visible/here\n");
    put("memory.max", "4096\n");
    put("memory.current", "1096\n");
    assert_int_equal(memory_left(), 3000);
}

static void version_one_is_read(void **state)
{
    (void)state;
    put("self", "9:cpu,cpuacct:/job\n4:memory:/job\n0::/\n");
    put("memory/memory.limit_in_bytes", "9223372036854771712\n"); /* how version 1 says "no limit" */
    put("memory/memory.usage_in_bytes", "77\n");
    assert_int_equal(memory_left(), -1);
    put("memory/job/memory.limit_in_bytes", "5000\n");
    put("memory/job/memory.usage_in_bytes", "3000\n");
    put("memory/job/memory.stat", "total_inactive_file 500\n");
    assert_int_equal(memory_left(), 2500);
    put("cpu/job/cpu.cfs_quota_us", "-1\n");
    put("cpu/job/cpu.cfs_period_us", "100000\n");
    assert_int_equal(cpus(), -1);
    put("cpu/job/cpu.cfs_quota_us", "150000\n");
    assert_int_equal(cpus(), 2);
}

/* ---- processor ---- */

static fet__cpu wished(const char *wish)
{
    setenv("FETTLE_CPU", wish, 1);
    return fet__cpu_level();
}

static int level_plain(void)
{
    unsetenv("FETTLE_CPU");
    return (int)fet__cpu_level();
}

static int level_base(void)
{
    return wished("base") == FET__CPU_BASE && strcmp(fet__cpu_text(), "base") == 0 ? 0 : 1;
}

static int level_avx2(void)
{
    return (int)wished("avx2");
}

static int level_avx512(void)
{
    return (int)wished("avx512");
}

static void listen(void *user, int level, const char *text)
{
    *(bool *)user = level == 1 && strstr(text, "FETTLE_CPU=sse9") != NULL;
}

static int level_unknown(void)
{
    bool warned = false;
    int level;

    fet_set_log(listen, &warned);
    level = (int)wished("sse9");
    return warned ? level : 50;
}

static void the_environment_lowers_the_level_only(void **state)
{
    int best = in_child(level_plain);

    (void)state;
    assert_in_range(best, 0, 2);
    assert_int_equal(in_child(level_base), 0);
    assert_int_equal(in_child(level_avx2), best < 1 ? best : 1);
    assert_int_equal(in_child(level_avx512), best);
    assert_int_equal(in_child(level_unknown), best);
}

/* How many threads of a team get zero from a sum that is denormal. */
static int flushing_threads(void)
{
    int count = 0;

#ifdef _OPENMP
#pragma omp parallel num_threads(fet__threads()) reduction(+ : count)
#endif
    {
        volatile float tiny = 1e-38f, half = 0.25f;
        volatile float product = tiny * half;

        count += product == 0;
    }
    return count;
}

static int denormals(void)
{
    unsigned mode;
    int team, off;

    fet__set_threads(3);
#ifdef _OPENMP
    team = 3;
#else
    team = 1;
#endif
    if (flushing_threads() != 0)
        return 1;
    mode = fet__denormals_off();
    off = flushing_threads();
    fet__denormals_restore(mode);
    if (flushing_threads() != 0)
        return 2;
#if defined(__x86_64__)
    return off == team ? 0 : 3;
#else
    return off == 0 && team > 0 ? 0 : 3;
#endif
}

static void denormals_are_flushed_in_the_whole_team(void **state)
{
    (void)state;
    assert_int_equal(in_child(denormals), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thread_count_follows_affinity_environment_and_call),
        cmocka_unit_test(time_goes_forward),
        cmocka_unit_test(memory_figures_are_plausible),
        cmocka_unit_test_setup_teardown(the_tightest_group_counts, make_root, drop_root),
        cmocka_unit_test_setup_teardown(a_container_sees_only_the_mount, make_root, drop_root),
        cmocka_unit_test_setup_teardown(version_one_is_read, make_root, drop_root),
        cmocka_unit_test(the_environment_lowers_the_level_only),
        cmocka_unit_test(denormals_are_flushed_in_the_whole_team),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
