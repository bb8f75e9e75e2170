#!/bin/sh
# Everything that ./run test stands for. Each part prints its own lines; the last line counts over all of them:
#     N passed, N failed
set -u
cd "$(dirname "$0")/.."
jobs=$(nproc)
passed=0
failed=0

count() { # count NAME STATUS LOG: one check that is no ctest run
    if [ "$2" -eq 0 ]; then
        passed=$((passed + 1))
        echo "pass  $1"
    else
        failed=$((failed + 1))
        echo "FAIL  $1"
        tail -n 40 "$3"
    fi
}

# suite NAME FOLDER [cmake options]: configure, build, ctest
suite() {
    name=$1
    folder=$2
    shift 2
    log=$(mktemp)
    echo "== $name"
    if ! { cmake -S . -B "$folder" -G Ninja "$@" && cmake --build "$folder" -j "$jobs"; } >"$log" 2>&1; then
        count "$name: build" 1 "$log"
        return
    fi
    count "$name: build" 0 "$log"
    OMP_WAIT_POLICY=passive ctest --test-dir "$folder" -j "$jobs" --output-on-failure >"$log" 2>&1
    grep -E '^ *[0-9]+/[0-9]+ Test.*(Failed|Timeout|Not Run|Exception|Skipped)' "$log"
    total=$(sed -n 's/^.*tests passed, [0-9]* tests failed out of \([0-9]*\)$/\1/p' "$log")
    bad=$(sed -n 's/^.*tests passed, \([0-9]*\) tests failed out of [0-9]*$/\1/p' "$log")
    if [ -z "$total" ]; then
        count "$name: ctest" 1 "$log"
        return
    fi
    if [ "$bad" -gt 0 ]; then
        tail -n 80 "$log"
    fi
    echo "$name: $((total - bad)) of $total tests passed"
    passed=$((passed + total - bad))
    failed=$((failed + bad))
    rm -f "$log"
}

suite "release" build
# Leaks are looked for too; oneDNN and OpenMP keep a few pools for the life of the process (tests/lsan.supp).
ASAN_OPTIONS=detect_stack_use_after_return=1 LSAN_OPTIONS=suppressions=$PWD/tests/lsan.supp:print_suppressions=0 \
    suite "sanitizers" build-san -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS=-O1 -DFETTLE_SANITIZE=address,undefined

echo "== clang without OpenMP and oneDNN, reference and own kernels alone"
suite "clang" build-clang -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ -DFETTLE_OPENMP=OFF -DFETTLE_DNNL=OFF

log=$(mktemp)
sh tests/lint.sh >"$log" 2>&1
count "lint" $? "$log"
FETTLE_FUZZ_JOBS=$jobs sh tests/fuzz/run.sh 20 >"$log" 2>&1
count "fuzz, 20 s a target" $? "$log"
rm -f "$log"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
