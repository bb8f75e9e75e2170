# What the scripts here share: run the program, hold its status and its words to what is expected, count what fails.
# Source it with FETTLE, JSON_CHECK set. Everything happens in a folder of its own that goes away at the end.
set -u
export LC_ALL=C OMP_WAIT_POLICY=passive
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failed=0

complain() {
    echo "FAILED: $*"
    echo "  command: ${last:-}"
    sed 's/^/  out: /' out 2>/dev/null | head -n 20
    sed 's/^/  err: /' err 2>/dev/null | head -n 20
    failed=1
}

# run STATUS ARGUMENT...: the program's status must be STATUS; its output goes to the files out and err.
run() {
    want=$1
    shift
    last="fettle $*"
    status=0
    "$FETTLE" "$@" >out 2>err </dev/null || status=$?
    [ "$status" -eq "$want" ] || complain "status $status where $want was expected"
}

# says TEXT...: standard error holds each text.
says() {
    for text in "$@"; do
        grep -qF -- "$text" err || complain "standard error lacks: $text"
    done
}

# prints TEXT...: standard output holds each text.
prints() {
    for text in "$@"; do
        grep -qF -- "$text" out || complain "standard output lacks: $text"
    done
}

# one_sentence: standard error holds one line, as "fettle: ...", and standard output nothing.
one_sentence() {
    [ "$(grep -c '^fettle: ' err)" -eq 1 ] && [ "$(wc -l <err)" -eq 1 ] || complain "not one sentence on standard error"
    [ ! -s out ] || complain "something on standard output though the work failed"
}

# json KEY:TYPE...: standard output is one JSON object with these.
json() {
    "$JSON_CHECK" "$@" <out 2>json_err || complain "JSON: $(cat json_err)"
}

value() { # KEY
    "$JSON_CHECK" -v "$1" <out
}

same() { # WHAT A B
    [ "$2" = "$3" ] || complain "$1: '$2' is not '$3'"
}

finish() {
    [ "$failed" -eq 0 ] && echo "all held"
    exit "$failed"
}
