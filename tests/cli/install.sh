#!/bin/sh
# Installed files are enough to build on: the program runs from there and finds its recipes, and the example compiles against
# header, shared library and fettle.pc, and against the archive.
# install.sh CMAKE BUILD SOURCE CC
set -eu
cmake=$1 build=$2 source=$3 cc=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$cmake" --install "$build" --prefix "$work/usr" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
cd "$work"
unset FETTLE_RECIPES
usr/bin/fettle list recipes | grep -q '^vtab1k/cifar ' || { echo "the installed program does not find its recipes"; exit 1; }
pc=$(find usr -name fettle.pc)
libraries=$(dirname "$(dirname "$pc")")
PKG_CONFIG_PATH=$work/$(dirname "$pc")
export PKG_CONFIG_PATH
# The prefix was set at configuration; here it is where the files are.
# shellcheck disable=SC2046
"$cc" -o shared "$source/examples/tune_merge_predict.c" $(pkg-config --define-variable=prefix="$work/usr" --cflags --libs fettle)
# shellcheck disable=SC2046
"$cc" -o static "$source/examples/tune_merge_predict.c" $(pkg-config --define-variable=prefix="$work/usr" --cflags fettle) \
    "$libraries/libfettle.a" $(pkg-config --define-variable=prefix="$work/usr" --static --libs-only-l --libs-only-other fettle |
        sed 's/-lfettle//')
for program in shared static; do
    status=0
    LD_LIBRARY_PATH=$work/$libraries "./$program" 2>out || status=$?
    [ "$status" -eq 2 ] && grep -q 'usage: tune_merge_predict' out || { echo "$program does not run"; cat out; exit 1; }
done
echo "installed, found, compiled"
