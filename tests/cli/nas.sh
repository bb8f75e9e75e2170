#!/bin/sh
# The search of a network as scripts use it: profile, search under each limit, derive, train and evaluate what was found, kills and resumes to
# the same bits, and bad input. nas.sh HARNESS FETTLE JSON_CHECK
FETTLE=$2 JSON_CHECK=$3
. "$1"

frame=quadranet:depths=1+2+2+1,dim=8,patch=2,img=32
small="--arch $frame --batch 8 --epochs 1 --search-warmup 1 --search-epochs 1 --threads 2 --quiet"

# ---- profile ----
run 0 data synth --out syn --classes 3 --domains 1 --per-class 12 --val-per-class 4
data=syn/flat
run 0 nas profile --arch $frame --repeats 15 --check 2 --threads 2 --out here.json --json
json profile:text blocks:int fixed_ms:real checked:int mean_error:real worst_error:real
same blocks 48 "$(value blocks)"
run 0 nas profile --arch $frame --repeats 5 --check 0 --threads 2 --out unchecked.json
run 2 nas profile --arch $frame --out here.json
one_sentence
says "here.json exists"
run 2 nas profile --arch resnet50 --out x.json
one_sentence
says "not over 'resnet50'"
run 2 nas profile --arch $frame --repeats 0 --out x.json
says "--repeats '0'"
run 2 nas profile --arch $frame --check -1 --out x.json
says "--check '-1'"

# ---- search, derive, use ----
# shellcheck disable=SC2086
run 0 nas search --data $data --profile here.json --latency 5ms --out found $small --json
json run:text arch:text positions:int blocks:int latency:real latency_limit:real unit:text measured_ms:real flops:real memory_bytes:int \
    search_steps:int alpha_steps:int search_seconds:real search_bytes:int candidate_bytes:int build_ms:real step_ms:real entropy:real top1:real
same positions 6 "$(value positions)"
same unit '"ms"' "$(value unit)"
flops=$(value flops)
arch=$(value arch)
for file in run.json search.safetensors search.csv arch.json state.safetensors log.csv report.html model.safetensors; do
    [ -s "found/$file" ] || complain "found/$file is missing"
done
[ "$(wc -l <found/search.csv)" -eq 3 ] || complain "search.csv has not a line an epoch"
run 0 nas derive found --out net.json --json
json file:text arch:text
same "the derived network" "$arch" "$(value arch)"
cmp -s net.json found/arch.json || complain "the derived file is not the run's"
run 2 nas derive found --out net.json
one_sentence
says "net.json exists"
run 1 nas derive syn --out x.json
one_sentence
says "no search there"
run 0 eval --model found --data $data --json
json top1:real
run 0 train --arch net.json --data $data --out again --epochs 1 --batch 8 --quiet
run 0 plan --model none --arch net.json --mode infer
run 0 inspect found/model.safetensors --json
same operations "$(awk "BEGIN { printf \"%.0f\", $flops }")" "$(awk "BEGIN { printf \"%.0f\", 1e9 * $(value gflops_per_image) }")"

sed 's/"fixed": {/"fixed": {"a": 1, /; s/k3e2": 0\./k3e2": 1./' here.json >slower.json
run 2 nas search --data $data --profile slower.json --out found --resume --threads 2 --quiet
one_sentence
says "not that with which the search began"

# ---- limits and options ----
for more in "--flops 2M" "--memory 400K" "--flops 3M --memory 500K --profile here.json --latency 0.5ms" "--flops 2M --space plain" \
    "--flops 2M --gates full" "--flops 2M --objective linear --lambda 0.5" "--flops 2M --objective none" \
    "--flops 2M --log-a 1 --log-b 0.6" "--flops 2M --search-optimizer sgd --search-lr 0.02 --search-warmup-lr 0.04 --search-momentum 0.8" \
    "--flops 2M --search-batch 4 --search-wd 0.1 --search-clip 1 --search-smoothing 0 --search-augment none" \
    "--flops 2M --alpha-lr 0.1 --alpha-every 1 --alpha-share 0.3" "--image 48 --flops 5M --budget 1G"; do
    rm -rf one
    # shellcheck disable=SC2086
    run 0 nas search --data $data --out one $small $more --json
    json arch:text
    case $more in
    --flops\ 2M*) [ "$(printf %.0f "$(value flops)")" -le 2000000 ] || complain "$(value flops) operations under a limit of 2M" ;;
    --memory*) [ "$(value memory_bytes)" -le 409600 ] || complain "$(value memory_bytes) bytes under a limit of 400K" ;;
    esac
    case $more in
    *plain*) value arch | grep -q mixer=conv || complain "--space plain finds quadratic blocks" ;;
    *) value arch | grep -q mixer=quadratic || complain "a quadratic space finds other blocks" ;;
    esac
done
# Another device, with a unit of its own.
sed 's/"unit": "ms"/"unit": "mJ", "foreign": true/; s/"device": "[^"]*"/"device": "a phone"/' here.json >phone.json
rm -rf one
# shellcheck disable=SC2086
run 0 nas search --data $data --out one $small --profile phone.json --latency 500mJ --objective linear --json
same unit '"mJ"' "$(value unit)"
# shellcheck disable=SC2086
run 2 nas search --data $data --out x $small --profile phone.json --latency 500mJ
one_sentence
says "or the linear objective"
# shellcheck disable=SC2086
run 2 nas search --data $data --out x $small --profile phone.json --latency 5ms
one_sentence
says "not in the profile's unit, mJ"

# ---- killed searches end as undisturbed ones ----
long="--data $data --arch $frame --batch 8 --flops 2M --epochs 2 --search-warmup 1 --search-epochs 3 --seed 5 --threads 2 --quiet --save-every 0.02"
# shellcheck disable=SC2086
run 0 nas search $long --out whole
kills=0
for delay in 0.3 0.5 0.7 0.9 1.1 1.3; do
    resume=
    [ -d killed ] && resume=--resume
    # shellcheck disable=SC2086
    timeout -s KILL $delay "$FETTLE" nas search $long --out killed $resume >/dev/null 2>err || kills=$((kills + 1))
done
resume=
[ -d killed ] && resume=--resume
# shellcheck disable=SC2086
run 0 nas search $long --out killed $resume
[ "$kills" -gt 0 ] || complain "nothing was killed"
for file in arch.json model.safetensors best.safetensors; do
    cmp -s "whole/$file" "killed/$file" || complain "$file differs after $kills kills"
done
cut -d, -f1-8 whole/search.csv >a && cut -d, -f1-8 killed/search.csv >b
cmp -s a b || complain "search.csv differs after $kills kills"
run 2 nas search --data $data --arch $frame --flops 2M --out whole
says "exists"
run 1 nas search --data $data --flops 2M --out nothing --resume
says "no search to resume"
run 2 nas search --data $data --flops 2M --out again --resume
says "is no search"

# ---- bad input ----
# shellcheck disable=SC2086
run 2 nas search --data $data --out x $small --profile here.json --latency 0.0001ms
one_sentence
says "no network of the space meets a latency limit of 0.0001 ms: the nearest has"
# shellcheck disable=SC2086
run 2 nas search --data $data --out x $small --flops 1k
one_sentence
says "flops limit of 1000: the nearest has"
# shellcheck disable=SC2086
run 2 nas search --data $data --out x $small --memory 1K
one_sentence
says "memory limit of 0.001 MiB: the nearest has"
sed 's/"device": "[^"]*"/"device": "another"/' here.json >other.json
# shellcheck disable=SC2086
run 2 nas search --data $data --out x $small --profile other.json --latency 5ms
one_sentence
says "was measured on another" "--foreign"
rm -rf one
# shellcheck disable=SC2086
run 0 nas search --data $data --out one $small --profile other.json --latency 5ms --foreign
run 2 nas search --data $data --arch $frame --threads 1 --out x --profile here.json --latency 5ms --quiet
one_sentence
says "2 threads"
run 1 nas search --data $data --arch quadranet:depths=1+1+1+1,dim=16,img=64 --threads 2 --out x --profile here.json --latency 5ms --quiet
one_sentence
says "no entry"
head -c 300 here.json >broken.json
# shellcheck disable=SC2086
run 1 nas search --data $data --out x $small --profile broken.json --latency 5ms
one_sentence
says "broken.json" "malformed JSON"
# shellcheck disable=SC2086
run 2 nas search --data $data --out x $small
one_sentence
says "needs a limit"
# shellcheck disable=SC2086
run 2 nas search --data $data --out x $small --latency 5ms
one_sentence
says "needs a profile"
# shellcheck disable=SC2086
run 2 nas search --data $data --out x $small --profile here.json --latency fast
one_sentence
says "no positive number with a unit"
# shellcheck disable=SC2086
run 2 nas search --data $data --out x $small --flops 2M --search-augment mixup
one_sentence
says "mixes images"
for wrong in "--flops x" "--space wide" "--gates three" "--objective cubic" "--alpha-share 1" "--alpha-every 0" "--search-epochs 0" "--memory x" \
    "--search-optimizer rmsprop"; do
    # shellcheck disable=SC2086
    run 2 nas search --data $data --out x $small $wrong
    says "${wrong% *}"
done
# A broken result file is one sentence wherever --arch is taken.
sed 's/"kernel": [0-9]*/"kernel": 4/' net.json >even.json
sed 's/"family"/"famly"/' net.json >key.json
sed 's/"quadranet"/"resnet"/' net.json >family.json
head -c 200 net.json >cut.json
printf '{"fettle_arch": 2}' >version.json
for file in even key family cut version; do
    run 1 train --arch $file.json --data $data --out x --quiet
    one_sentence
    says "$file.json"
done
run 1 train --arch nowhere.json --data $data --out x --quiet
one_sentence
says "nowhere.json"
[ -e x ] && complain "a refused search left a folder"
finish
