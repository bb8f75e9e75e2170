#!/bin/sh
# The shared library shows exactly the functions that the public headers declare, and has a soname.
# symbols.sh LIBFETTLE.SO LIBFETTLE.A INCLUDE
set -eu
export LC_ALL=C
shown=$(nm -D --defined-only "$1" | awk '{print $3}' | sort)
# Names of FET_API declarations, which may span lines: the last word before the first parenthesis.
declared=$(cat "$3"/fettle/*.h | tr '\n' ' ' | grep -oE 'FET_API [^;(]*\(' | sed -E 's/.*[ *](fet_[a-z0-9_]+)\($/\1/' | grep '^fet_' | sort -u)
failed=0
for name in $shown; do
    case $name in
    fet__* | [!f]* | f[!e]*) echo "shown, but not public: $name"; failed=1 ;;
    esac
    echo "$declared" | grep -qx "$name" || { echo "shown, but in no header: $name"; failed=1; }
done
for name in $declared; do
    echo "$shown" | grep -qx "$name" || { echo "declared, but not in the library: $name"; failed=1; }
    nm --defined-only "$2" 2>/dev/null | grep -q " T $name\$" || { echo "declared, but not in the archive: $name"; failed=1; }
done
objdump -p "$1" | grep -q 'SONAME *libfettle.so.0' || { echo "the soname is not libfettle.so.0"; failed=1; }
echo "$(echo "$declared" | wc -l) public functions"
exit $failed
