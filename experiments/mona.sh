#!/bin/sh
# A small Swin trained on CIFAR-10, tuned to the three PACS domains with every adapter of the Mona paper's comparison: accuracy over seeds, the
# epochs that each needs to reach full tuning's best, few images a class with the gap between training and test, kernel sets, bytes stored a task.
# Goes on cell by cell: what is done is kept in build/experiments/mona, so an interrupted run continues. Prints the tables of
# docs/experiments.md.
# Usage: ./run experiment mona        (needs ../shared/data/cifar10.tar and pacs96.tar, or CIFAR10= and PACS= paths of such archives)
set -eu
fettle=$(cd "$(dirname "${1:-build/fettle}")" && pwd)/$(basename "${1:-build/fettle}")
cifar=$(realpath "${CIFAR10:-../shared/data/cifar10.tar}")
pacs=$(realpath "${PACS:-../shared/data/pacs96.tar}")
work=${EXPERIMENT_DIR:-$(dirname "$fettle")/experiments/mona}
for archive in "$cifar" "$pacs"; do
    [ -f "$archive" ] || { echo "experiment mona: $archive is missing" >&2; exit 1; }
done
mkdir -p "$work"
cd "$work"
[ -d cifar10 ] || tar -xf "$cifar"
[ -d pacs96 ] || tar -xf "$pacs"
seeds="0 1 2"
domains="photo art_painting cartoon"
epochs=12

# Every fourth picture of a class is for testing, the rest is for tuning; of these, only the first COUNT of each class in the seed's order.
list() { # list FILE DOMAIN COUNT SEED
    [ -f "$1" ] && return
    {
        echo path,label,split
        find "pacs96/$2" -type f | LC_ALL=C sort | awk -F/ -v count="$3" -v seed="$4" '
            { class = $3; n = ++seen[class] }
            n % 4 == 0 { print $0 "," class ",val"; next }
            { train[class, ++have[class]] = $0 }
            END {
                srand(1000 + seed)
                for (class in have) {
                    size = have[class]
                    for (i = size; i > 1; i--) { j = 1 + int(rand() * i); t = train[class, i]; train[class, i] = train[class, j]; train[class, j] = t }
                    for (i = 1; i <= size && (count == 0 || i <= count); i++) print train[class, i] "," class ",train"
                }
            }' | LC_ALL=C sort
    } >"$1.tmp"
    mv "$1.tmp" "$1"
}

# The run of a cell: goes on where it was killed, and is done when its result is there.
cell() { # cell NAME COMMAND...
    run=$1
    shift
    [ -f "$run.json" ] && return
    mkdir -p "$(dirname "$run")"
    resume=
    [ -f "$run/run.json" ] && resume=--resume
    [ -d "$run" ] && [ -z "$resume" ] && rm -rf "$run"
    # shellcheck disable=SC2086
    "$fettle" "$@" --out "$run" --quiet --json $resume >"$run.tmp"
    mv "$run.tmp" "$run.json"
}
value() { tr ',{}' '\n\n\n' <"$2" | sed -n "s/^ *\"$1\": *//p" | head -n 1; }
rate() { # full tuning and the last block's train large matrices: a smaller step
    case $1 in full | partial1) echo 1e-3 ;; *) echo 3e-3 ;; esac
}
tune() { # tune NAME SPEC DATA SEED EPOCHS
    cell "$1" tune --model base --data "$3" --adapter "$2" --seed "$4" --epochs "$5" --batch 32 --lr "$(rate "${2%%:*}")" --wd 1e-4 --augment light
}
# mean and sample deviation, in percent, of the last epoch's accuracy in the logs given
summary() {
    for log; do tail -n 1 "$log" | cut -d, -f6; done |
        awk '{ s += $1; q += $1 * $1; n++ } END { m = s / n; v = n > 1 ? (q - n * m * m) / (n - 1) : 0; printf "%.1f ± %.1f", 100 * m, 100 * sqrt(v < 0 ? 0 : v) }'
}
logs() { for seed in $seeds; do printf '%s/log.csv ' "$1$seed"; done; }

# ---- the base
cell base train --arch swin:dim=48,depths=2+2,heads=3+6,window=4,patch=4,img=32 --data cifar10 --epochs 20 --batch 64 --lr 1.5e-3 --wd 0.05 \
    --smoothing 0.1 --augment light
[ -f base.eval.json ] || { "$fettle" eval --model base --data cifar10 --split test --json --quiet >base.tmp && mv base.tmp base.eval.json; }
awk -v x="$(value top1 base.eval.json)" -v n="$(value images base.eval.json)" 'BEGIN { printf "base: %.1f %% of ten classes (%d test images)\n", 100 * x, n }'

# ---- every adapter on every domain
adapters="linear bitfit:preset=mona norm partial1 lora:rank=8 adapter:n=24 adaptformer:n=48 hydra:rank=8 mona:n=16 full"
for domain in $domains; do
    list "$domain.csv" "$domain" 0 0
    for spec in $adapters; do
        for seed in $seeds; do
            tune "all/$domain.${spec%%:*}.$seed" "$spec" "$domain.csv" "$seed" $epochs
        done
    done
done
printf '\n| adapter | trained values | bytes a task | photo | art painting | cartoon | epochs to full'"'"'s best |\n| --- | --- | --- | --- | --- | --- | --- |\n'
for spec in $adapters; do
    name=${spec%%:*}
    # the first epoch at which the mean curve reaches the best of full tuning's mean curve, domain by domain
    reach=
    for domain in $domains; do
        # shellcheck disable=SC2046
        best=$(awk -F, 'FNR > 1 { s[$1] += $6; n[$1]++ } END { for (e in s) if (s[e] / n[e] > b) b = s[e] / n[e]; print b }' $(logs "all/$domain.full."))
        # shellcheck disable=SC2046
        reach="$reach $(awk -F, -v best="$best" 'FNR > 1 { s[$1] += $6; n[$1]++; if ($1 + 0 > last) last = $1 + 0 }
            END { for (e = 0; e <= last; e++) if (s[e] / n[e] >= best - 1e-9) { print e + 1; exit } print "-" }' $(logs "all/$domain.$name."))"
    done
    # shellcheck disable=SC2046
    printf '| `%s` | %s | %s | %s | %s | %s | %s |\n' "$spec" "$(value trainable "all/photo.$name.0.json")" \
        "$(wc -c <"all/photo.$name.0/adapter.safetensors")" "$(summary $(logs "all/photo.$name."))" "$(summary $(logs "all/art_painting.$name."))" \
        "$(summary $(logs "all/cartoon.$name."))" "$(echo $reach | tr ' ' '/')"
done

# ---- few images a class: does full tuning overfit?
printf '\n| images a class (cartoon) | adapter | training | test | gap |\n| --- | --- | --- | --- | --- |\n'
for count in 5 20 100; do
    passes=$((count == 5 ? 60 : count == 20 ? 30 : 15))
    for spec in linear lora:rank=8 adapter:n=24 mona:n=16 full; do
        name=${spec%%:*}
        sum=
        for seed in $seeds; do
            list "cartoon.$count.$seed.csv" cartoon "$count" "$seed"
            tune "few/$count.$name.$seed" "$spec" "cartoon.$count.$seed.csv" "$seed" $passes
            [ -f "few/$count.$name.$seed.train.json" ] || {
                "$fettle" eval --model base --adapter "few/$count.$name.$seed" --data "cartoon.$count.$seed.csv" --split train --json --quiet >few.tmp
                mv few.tmp "few/$count.$name.$seed.train.json"
            }
            sum="$sum $(value top1 "few/$count.$name.$seed.train.json")"
        done
        # shellcheck disable=SC2046
        test=$(summary $(logs "few/$count.$name."))
        echo "$sum" | awk -v spec="$spec" -v count="$count" -v test="$test" '{ for (i = 1; i <= NF; i++) s += $i; t = 100 * s / NF
            printf "| %s | `%s` | %.1f | %s | %.1f |\n", count, spec, t, test, t - test }'
    done
done

# ---- what the parts of Mona are for
printf '\n| Mona | trained values | photo | art painting | cartoon |\n| --- | --- | --- | --- | --- |\n'
for spec in mona:n=16,kernels=3 mona:n=16,kernels=3+5 mona:n=16,norm=none; do
    name=$(echo "$spec" | tr ':,=' '...')
    row=
    for domain in $domains; do
        for seed in $seeds; do
            tune "parts/$domain.$name.$seed" "$spec" "$domain.csv" "$seed" $epochs
        done
        # shellcheck disable=SC2046
        row="$row $(summary $(logs "parts/$domain.$name.")) |"
    done
    printf '| `%s` | %s |%s\n' "$spec" "$(value trainable "parts/photo.$name.0.json")" "$row"
done
# shellcheck disable=SC2046
printf '| `mona:n=16` (3+5+7) | %s | %s | %s | %s |\n' "$(value trainable all/photo.mona.0.json)" "$(summary $(logs all/photo.mona.))" \
    "$(summary $(logs all/art_painting.mona.))" "$(summary $(logs all/cartoon.mona.))"
