#!/bin/sh
# Each public header must compile alone, twice in one file, as C11 and as C++11, without a warning.
# Usage: check_headers.sh CC CXX INCLUDE_FOLDER
set -eu
cc=$1 cxx=$2 include=$3
failed=0
count=0

compile() { # compiler, language, standard, header
    printf '#include "%s"\n#include "%s"\n' "$4" "$4" |
        "$1" -x "$2" -std="$3" -Wall -Wextra -Wpedantic -Werror -I"$include" -fsyntax-only - && return
    echo "$4 does not compile alone as $3"
    failed=1
}

for path in "$include"/fettle/*.h; do
    header=fettle/$(basename "$path")
    compile "$cc" c c11 "$header"
    compile "$cxx" c++ c++11 "$header"
    if ! grep -q 'extern "C"' "$path" && grep -q 'FET_API' "$path"; then
        echo "$header declares functions outside extern \"C\""
        failed=1
    fi
    count=$((count + 1))
done
echo "$count public headers"
[ "$count" -gt 0 ] && [ "$failed" -eq 0 ]
