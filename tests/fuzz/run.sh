#!/bin/sh
# Builds the fuzz targets (clang, in build-fuzz/) and runs them:
#     tests/fuzz/run.sh [SECONDS] [TARGET...]           each for SECONDS more (default 60); every target when none is named
#     tests/fuzz/run.sh --total SECONDS [TARGET...]     each until it has SECONDS over all runs, in turns of a minute at most:
#                                                       stop it at any time and start it again, it goes on
#     tests/fuzz/run.sh --table                         what each target has had so far
# FETTLE_FUZZ_JOBS=N runs N targets at a time (not with --total).
# A target is a file fuzz_TARGET.c here; corpus/TARGET/ holds its seeds (never written to) and TARGET.dict its words.
# What the fuzzer finds is kept in work/TARGET/, where the next run goes on; inputs that crash stay in work/crashes/.
# work/TARGET.done sums up seconds of the processor, executions and crashes; remove it where a reader has changed so much that the sum says
# nothing any more. FETTLE_FUZZ_BUILD names another build folder.
# The exit status is 1 when any target crashed, hung (10 s an input) or took over 1 GiB.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${FETTLE_FUZZ_BUILD:-$root/build-fuzz}
work=$here/work
turn=60

usage() {
    echo "usage: $0 [--total] [SECONDS] [TARGET...], or $0 --table" >&2
    exit 2
}

all_targets() {
    (cd "$here" && for f in fuzz_*.c; do f=${f#fuzz_}; echo "${f%.c}"; done)
}

# done_of TARGET: sets spent, runs and crashes
done_of() {
    spent=0 runs=0 crashes=0
    if [ -f "$work/$1.done" ]; then
        read -r spent runs crashes <"$work/$1.done" || true
    fi
}

table() {
    printf '%-14s %9s %13s %8s\n' target seconds executions crashes
    for target in $(all_targets); do
        done_of "$target"
        printf '%-14s %9s %13s %8s\n' "$target" "$spent" "$runs" "$crashes"
    done
}

total=
seconds=60
case ${1:-} in
--table) [ $# -eq 1 ] || usage; table; exit 0 ;;
--total) total=yes; shift; [ $# -gt 0 ] || usage ;;
esac
if [ $# -gt 0 ]; then
    seconds=$1
    shift
fi
case $seconds in
'' | *[!0-9]*) usage ;;
esac
# shellcheck disable=SC2046
[ $# -gt 0 ] || set -- $(all_targets)

programs=
for target; do
    if [ ! -f "$here/fuzz_$target.c" ]; then
        echo "$0: no fuzz target '$target' (no file fuzz_$target.c)" >&2
        exit 2
    fi
    programs="$programs fuzz_$target"
done
cmake -S "$root" -B "$build" -G Ninja -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ -DFETTLE_FUZZ=ON \
    -DFETTLE_OPENMP=OFF -DFETTLE_DNNL=OFF >"$build.log" 2>&1 || { cat "$build.log" >&2; exit 1; }
mv "$build.log" "$build/configure.log"
# shellcheck disable=SC2086
cmake --build "$build" --target $programs

# What the children of this shell have had of the processor; on a busy machine that is less than the clock says. `times` must not run in a
# shell of its own, so it leaves its answer in a file.
cpu_mark() { times >"$work/$1.times"; }
cpu_seconds() { awk 'NR == 2 { split($1, u, /[ms]/); split($2, s, /[ms]/); print int(60 * (u[1] + s[1]) + u[2] + s[2]) }' "$work/$1.times"; }

# fuzz TARGET SECONDS: one run; what it did is added to TARGET.done
fuzz() {
    mkdir -p "$work/$1"
    seeds=
    dict=
    crashed=0
    [ -d "$here/corpus/$1" ] && seeds=$here/corpus/$1
    [ -f "$here/$1.dict" ] && dict=-dict=$here/$1.dict
    cpu_mark "$1"
    begin=$(cpu_seconds "$1")
    "$build/tests/fuzz_$1" -max_total_time="$2" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
        -artifact_prefix="$work/crashes/$1-" ${dict:+"$dict"} "$work/$1" ${seeds:+"$seeds"} >"$work/$1.log" 2>&1 ||
        crashed=1
    cpu_mark "$1"
    took=$(($(cpu_seconds "$1") - begin))
    rm -f "$work/$1.times"
    ran=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/$1.log" | tail -n 1)
    done_of "$1"
    echo "$((spent + took)) $((runs + ${ran:-0})) $((crashes + crashed))" >"$work/$1.new"
    mv "$work/$1.new" "$work/$1.done"
    if [ "$crashed" -eq 1 ]; then
        tail -n 60 "$work/$1.log"
        return 1
    fi
    echo "== $1: $took s, ${ran:-0} executions," \
        "$(sed -n 's/^stat::peak_rss_mb: *//p' "$work/$1.log") MiB, $(sed -n 's/^stat::new_units_added: *//p' "$work/$1.log") new inputs"
}

failed=
mkdir -p "$work/crashes"
# due TARGET: seconds that it is to run now; 0: it has had enough
due() {
    if [ -z "$total" ]; then
        echo "$seconds"
        return
    fi
    done_of "$1"
    left=$((seconds - spent))
    [ "$left" -lt "$turn" ] || left=$turn
    [ "$left" -gt 0 ] || left=0
    echo "$left"
}

is_failed() {
    case " $failed " in
    *" $1 "*) return 0 ;;
    esac
    return 1
}

# Every N-th target, for each of N shares at a time; what failed is noted in a file, for shells beside each other share nothing else.
jobs=${FETTLE_FUZZ_JOBS:-1}
share() { # share NUMBER TARGET...
    number=$1
    shift
    i=0
    for target; do
        if [ $((i % jobs)) -eq "$number" ]; then
            fuzz "$target" "$seconds" || echo "$target" >>"$work/failed"
        fi
        i=$((i + 1))
    done
}
if [ "$jobs" -gt 1 ] && [ -z "$total" ]; then
    rm -f "$work/failed"
    number=0
    while [ "$number" -lt "$jobs" ]; do
        share "$number" "$@" &
        number=$((number + 1))
    done
    wait
    [ ! -f "$work/failed" ] || failed=$(tr '\n' ' ' <"$work/failed")
    set --
fi

again=yes
while [ -n "$again" ]; do
    again=
    for target; do
        now=$(due "$target")
        if [ "$now" -eq 0 ] || is_failed "$target"; then
            continue
        fi
        again=$total
        fuzz "$target" "$now" || failed="$failed $target"
    done
done
[ -z "$total" ] || table
if [ -n "$failed" ]; then
    echo "failed:$failed (inputs in tests/fuzz/work/crashes/; repeat with $build/tests/fuzz_TARGET FILE)" >&2
    exit 1
fi
echo "no crash"
