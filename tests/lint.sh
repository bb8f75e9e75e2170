#!/bin/sh
# The house's style: clang-format, clang-tidy, cppcheck, and the layer rules. Prints what is wrong; exit status 1 then.
set -u
cd "$(dirname "$0")/.."
status=0
build=build-lint
sources=$(git ls-files 'src/*.c' 'cli/*.c' 'examples/*.c')
all=$(git ls-files '*.c' '*.h')

# shellcheck disable=SC2086
clang-format --dry-run -Werror $all || status=1
cmake -S . -B "$build" -G Ninja -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ -DFETTLE_OPENMP=OFF >/dev/null || exit 1
# shellcheck disable=SC2086
printf '%s\n' $sources | xargs -P "$(nproc)" -n 8 clang-tidy --quiet -p "$build" --warnings-as-errors='*' 2>/dev/null || status=1
cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --suppressions-list=.cppcheck-suppressions \
    -Iinclude -Isrc --error-exitcode=1 -j "$(nproc)" src cli examples || status=1
exit $status
