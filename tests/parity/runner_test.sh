#!/bin/sh
# The parity runner can fail: changed values, unknown kinds, nothing found, wrong usage. runner_test.sh PARITY GOLDEN
parity=$1
golden=$2
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
bad=0

# expect STATUS TEXT COMMAND...: exit status, and a line that holds TEXT
expect() {
    status=$1
    text=$2
    shift 2
    "$@" >"$work/out" 2>&1
    got=$?
    if [ "$got" -ne "$status" ] || ! grep -qF -- "$text" "$work/out"; then
        echo "FAILED: $* gave $got (wanted $status, with '$text'):"
        cat "$work/out"
        bad=1
    fi
}

mkdir "$work/good" "$work/changed" "$work/unknown" "$work/short" "$work/empty"
cp "$golden/lr_schedule.safetensors" "$work/good/"
expect 0 "1 passed, 0 failed" "$parity" "$work/good"
expect 0 "2 passed, 0 failed" "$parity" --only 'data.met*,hydra.lr_*' "$golden"
expect 0 "1 passed, 0 failed" "$parity" "$work/good/lr_schedule.safetensors"

# one value changed: the last float of the file becomes about 0.5
size=$(wc -c <"$golden/lr_schedule.safetensors")
cp "$golden/lr_schedule.safetensors" "$work/changed/"
printf '\000\000\000\077' | dd of="$work/changed/lr_schedule.safetensors" bs=1 seek=$((size - 4)) conv=notrunc 2>/dev/null
expect 1 "0 passed, 1 failed" "$parity" "$work/changed"
expect 1 "out.lr_t30" "$parity" "$work/changed"

sed 's/hydra.lr_schedule/hydra.no_schedule/' "$golden/lr_schedule.safetensors" >"$work/unknown/a.safetensors"
expect 1 "does not know kind hydra.no_schedule" "$parity" "$work/unknown"
expect 1 "no golden file was found" "$parity" --only 'hydra.lr_*' "$work/unknown"

head -c $((size - 4)) "$golden/lr_schedule.safetensors" >"$work/short/a.safetensors"
expect 1 "FAIL  (unreadable)" "$parity" "$work/short"

# a result that no kind computes is not passed over
sed 's/out\.lr_t30/out.lr_t31/' "$golden/lr_schedule.safetensors" >"$work/good/lr_schedule.safetensors"
expect 1 "nothing was compared" "$parity" "$work/good"
sed 's/out\.lora\.y/out.lorb.y/' "$golden/linear.safetensors" >"$work/good/lr_schedule.safetensors"
expect 1 "out.lorb.y was not compared" "$parity" "$work/good"

# a folder of hostile files: what its table says decides, and nobody is left out
mkdir -p "$work/bad/ckpt/malicious"
printf '\002\000\000\000\000\000\000\000{}' >"$work/bad/ckpt/malicious/table.safetensors"
printf '\002\000\000\000\000\000\000\000{]' >"$work/bad/ckpt/malicious/no_json.safetensors"
table() {
    printf '### Malicious\n\n| file | bytes | expected |\n|---|---|---|\n' >"$work/bad/INDEX.md"
    printf '| `table.safetensors` | 10 | %s |\n| `no_json.safetensors` | 10 | %s |\n' "$1" "$2" >>"$work/bad/INDEX.md"
}
table 'loads' 'error "malformed"'
expect 0 "1 passed, 0 failed" "$parity" "$work/bad"
table 'error "malformed"' 'error "malformed"'
expect 1 "table.safetensors: it is to be refused" "$parity" "$work/bad"
table 'loads 1 empty tensors' 'error "malformed"'
expect 1 "table.safetensors: it has another number of tensors" "$parity" "$work/bad"
table 'loads with a warning' 'loads'
expect 1 "2 of 2 files differ" "$parity" "$work/bad"
table 'loads' 'error "refused"'
expect 1 "no_json.safetensors: the message lacks the expected word" "$parity" "$work/bad"
: >"$work/bad/ckpt/malicious/unlisted"
expect 1 "INDEX.md does not say what must happen to unlisted" "$parity" "$work/bad"

expect 1 "no golden file was found" "$parity" "$work/empty"
expect 2 "usage: parity" "$parity"
expect 2 "no such folder" "$parity" "$work/absent"
expect 2 "unknown option" "$parity" --onyl x "$work/good"
expect 0 "usage: parity" "$parity" --help
exit $bad
