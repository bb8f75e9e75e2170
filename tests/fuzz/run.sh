#!/bin/sh
# Builds the fuzz targets (clang, in build-fuzz/) and runs each for a while:
#     tests/fuzz/run.sh [SECONDS-PER-TARGET] [TARGET...]        default: 60 seconds, every target
# A target is a file fuzz_TARGET.c here; corpus/TARGET/ holds its seeds (never written to) and TARGET.dict its words.
# What the fuzzer finds is kept in work/TARGET/, where the next run goes on; inputs that crash stay in work/crashes/.
# The exit status is 1 when any target crashed, hung (10 s an input) or took over 1 GiB.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=$root/build-fuzz
seconds=60
if [ $# -gt 0 ]; then
    seconds=$1
    shift
fi
case $seconds in
'' | *[!0-9]*) echo "usage: $0 [SECONDS-PER-TARGET] [TARGET...]" >&2; exit 2 ;;
esac
if [ $# -eq 0 ]; then
    set -- $(cd "$here" && for f in fuzz_*.c; do f=${f#fuzz_}; echo "${f%.c}"; done)
fi

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

failed=
mkdir -p "$here/work/crashes"
for target; do
    mkdir -p "$here/work/$target"
    seeds=
    dict=
    [ -d "$here/corpus/$target" ] && seeds=$here/corpus/$target
    [ -f "$here/$target.dict" ] && dict=-dict=$here/$target.dict
    echo "== $target: $seconds s"
    if ! "$build/tests/fuzz_$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
        -artifact_prefix="$here/work/crashes/$target-" ${dict:+"$dict"} "$here/work/$target" ${seeds:+"$seeds"} \
        >"$here/work/$target.log" 2>&1; then
        tail -n 60 "$here/work/$target.log"
        failed="$failed $target"
    else
        grep -E 'stat::number_of_executed_units|stat::peak_rss_mb|stat::new_units_added' "$here/work/$target.log"
    fi
done
if [ -n "$failed" ]; then
    echo "failed:$failed (inputs in tests/fuzz/work/crashes/; repeat with build-fuzz/tests/fuzz_TARGET FILE)" >&2
    exit 1
fi
echo "no crash"
