#!/bin/sh
# The shape of the house, checked as text: who may include whom, where oneDNN may be seen, how long files may be, and
# that no two files share a name. Usage: check_layers.sh SOURCE_FOLDER. Prints each offence; exit status 1 if there is one.
set -eu
export LC_ALL=C
cd "$1"
offences=$(mktemp)
trap 'rm -f "$offences"' EXIT

offend() {
    echo "$*" | tee -a "$offences"
}

# The folders below each folder of src/. This list is the picture in docs/architecture.md; CMake links by the same one.
below() {
    case $1 in
    base) echo "" ;;
    tensor | metric) echo "base" ;;
    graph | kernel | store | image) echo "tensor base" ;;
    plan) echo "graph tensor base" ;;
    cluster) echo "kernel tensor base" ;;
    exec) echo "plan graph kernel tensor base" ;;
    data) echo "image tensor base" ;;
    nn) echo "graph tensor base" ;;
    adapter) echo "nn graph tensor base" ;;
    model) echo "adapter nn store image graph tensor base" ;;
    report) echo "metric tensor base" ;;
    train) echo "report model adapter nn exec plan data image metric store graph tensor base" ;;
    method) echo "train cluster report model adapter nn exec plan data image metric store graph tensor base" ;;
    *) return 1 ;;
    esac
}

# A folder shows its neighbours FOLDER/FOLDER.h; these few are shown besides.
shown_besides="tensor/op.h tensor/ops.def store/json_text.h model/quadranet.h train/nas.h"

contains() {
    case " $1 " in *" $2 "*) return 0 ;; esac
    return 1
}

sources() {
    find "$@" -type f \( -name '*.[ch]' -o -name '*.inc' -o -name '*.def' \) 2>/dev/null | sort
}

# "FILE:LINE NAME" of each #include with quotes.
quoted_includes() {
    grep -nHE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' "$@" /dev/null |
        sed -E 's/^([^:]*:[0-9]+):[^"]*"([^"]*)".*/\1 \2/'
}

check_one_include() { # where (FILE:LINE), folder of src/ that the file is in, included name
    target=${3%%/*}
    case $3 in
    fettle/*) return ;;
    */*) ;;
    *) offend "$1: \"$3\" does not name its folder (write \"FOLDER/FILE.h\")"; return ;;
    esac
    [ "$target" = "$2" ] && return
    contains "$(below "$2")" "$target" || { offend "$1: $2/ may not include $3 ($target/ is not below it)"; return; }
    [ "$3" = "$target/$target.h" ] || contains "$shown_besides" "$3" ||
        offend "$1: $3 is private to $target/ (neighbours see $target/$target.h)"
}

for path in src/*/; do
    folder=$(basename "$path")
    below "$folder" >/dev/null || { offend "$path: no layer of that name is known (add it to $0)"; continue; }
    files=$(sources "$path")
    [ -n "$files" ] || continue
    # shellcheck disable=SC2086 # names here have no blanks
    list=$(quoted_includes $files)
    while read -r where name; do
        [ -z "$where" ] || check_one_include "$where" "$folder" "$name"
    done <<LIST
$list
LIST
done

# The program and the examples stand on the public headers alone; the public headers stand on each other.
check_public_only() { # folder, own prefix that is allowed too
    files=$(sources "$1")
    [ -n "$files" ] || return 0
    # shellcheck disable=SC2086
    list=$(quoted_includes $files)
    while read -r where name; do
        case $name in
        "" | fettle/*) ;;
        */*) case $name in "$2"/*) ;; *) offend "$where: $1/ may include only fettle/ headers, not $name" ;; esac ;;
        *) [ -f "$1/$name" ] || offend "$where: $1/ may include only fettle/ headers, not $name" ;;
        esac
    done <<LIST
$list
LIST
}
check_public_only cli cli
check_public_only examples examples
check_public_only include fettle

present=""
for folder in include src cli examples tests; do
    [ ! -d "$folder" ] || present="$present $folder"
done
# shellcheck disable=SC2086
all=$(sources $present)

# Only src/kernel/dnnl/ knows oneDNN.
for file in $all; do
    case $file in src/kernel/dnnl/*) continue ;; esac
    ! grep -nHE '^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"](oneapi/dnnl/|dnnl)' "$file" ||
        offend "$file: only src/kernel/dnnl/ may include oneDNN"
done

# At most 1,000 lines; every file opens with a paragraph that says what lives in it.
for file in $all; do
    lines=$(wc -l <"$file")
    [ "$lines" -le 1000 ] || offend "$file: $lines lines (at most 1000)"
    case $(head -c 2 "$file") in
    '/*' | '//') ;;
    *) offend "$file: does not open with a comment that says what lives here" ;;
    esac
done

# One name, one file. Public headers may be called like the private ones they front.
duplicates() {
    sed 's|.*/||' | sort | uniq -d
}
for name in $(echo "$all" | grep -v '^include/' | duplicates) $(echo "$all" | grep '^include/' | duplicates); do
    offend "more than one file is called $name: $(echo "$all" | grep "/$name\$" | tr '\n' ' ')"
done
for file in $(echo "$all" | grep -E '/(utils?|misc|common|helpers?)\.[ch]$' || true); do
    offend "$file: a name that says nothing"
done

echo "checked $(echo "$all" | wc -l) files"
[ ! -s "$offences" ]
