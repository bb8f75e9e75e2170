#!/bin/sh
# PACS, one domain held out: known sites trained plainly (ERM), jointly with the self-supervised branch, and with episodes; then the held-out domain
# from twelve pictures by each method, another domain's file, the number of pictures with and without episodes, whole norms against scales and
# shifts; last the methods that are trained for adaptation (ARM, Meta-DMoE), each one more pass from the ERM model. Starts from the published
# CIFAR ResNet-20. Goes on cell by cell: what is done is kept in build/experiments/mabn, so an interrupted run continues; a seed is finished
# before the next begins (SEEDS="0", DOMAINS="photo", PARTS="main": these alone, and tables of them). Prints the tables of docs/experiments.md. Some 75 minutes of one core.
# Usage: ./run experiment mabn        (needs ../shared/data/pacs96.tar and ../shared/data/weights, or PACS= and RESNET20= paths)
set -eu
fettle=$(cd "$(dirname "${1:-build/fettle}")" && pwd)/$(basename "${1:-build/fettle}")
pacs=$(realpath "${PACS:-../shared/data/pacs96.tar}")
base=$(realpath "${RESNET20:-../shared/data/weights/resnet20-12fca82f.th}")
work=${EXPERIMENT_DIR:-$(dirname "$fettle")/experiments/mabn}
for file in "$pacs" "$base"; do
    [ -f "$file" ] || { echo "experiment mabn: $file is missing" >&2; exit 1; }
done
mkdir -p "$work"
cd "$work"
[ -d pacs96 ] || tar -xf "$pacs"
seeds=${SEEDS:-0 1 2}
parts=${PARTS:-main rival}
domains=${DOMAINS:-photo art_painting cartoon}
epochs=${EPOCHS:-4}
episodes=${EPISODES:-150}
small="--hidden 256 --projection 64 --inner-lr 0.05 --lr 1e-3 --outer-lr 3e-4 --batch 32"

# The run of a cell: goes on where it was killed, and is done when its result is there.
cell() { # cell NAME COMMAND...
    name=$1
    shift
    [ -f "$name.json" ] && return
    mkdir -p "$(dirname "$name")"
    if [ -f "$name/run.json" ]; then
        "$fettle" meta --resume --out "$name" --quiet --json >"$name.tmp"
    else
        rm -rf "$name"
        "$fettle" meta --data pacs96 --seed "$seed" --holdout "$domain" "$@" --quiet --json --out "$name" >"$name.tmp"
    fi
    mv "$name.tmp" "$name.json"
}
# What a command without a run says.
ask() { # ask NAME COMMAND...
    name=$1
    shift
    [ -f "$name.json" ] && return
    mkdir -p "$(dirname "$name")"
    "$fettle" "$@" --quiet --json >"$name.tmp"
    mv "$name.tmp" "$name.json"
}
value() { tr ',{}' '\n\n\n' <"$2" | sed -n "s/^ *\"$1\": *//p" | head -n 1; }
# mean and sample deviation of a key over files, in percent
summary() { # summary KEY FILE...
    key=$1
    shift
    for file; do value "$key" "$file"; done |
        awk '{ s += $1; q += $1 * $1; n++ } END { m = s / n; v = n > 1 ? (q - n * m * m) / (n - 1) : 0; printf "%.1f ± %.1f", 100 * m, 100 * sqrt(v < 0 ? 0 : v) }'
}
files() { for seed in $seeds; do printf '%s ' "$1/$2.$seed.json"; done; }

adapt() { # adapt NAME RUN FLAG...
    name=$1 run=$2
    shift 2
    ask "$name" adapt --model "$run" --data pacs96 --domains "$domain" --seed "$seed" --out "$name.sites" "$@"
}

# ---- known sites, then the held-out one
main_cells() {
    # shellcheck disable=SC2086
    cell "$domain/erm.$seed" --model "$base" --stage joint --lambda 0 --epochs "$epochs" $small
    # shellcheck disable=SC2086
    cell "$domain/joint.$seed" --model "$base" --stage joint --epochs "$epochs" $small
    # shellcheck disable=SC2086
    cell "$domain/meta.$seed" --model "$domain/joint.$seed" --stage meta --episodes "$episodes" $small
    adapt "$domain/bn.$seed" "$domain/erm.$seed" --method bn
    adapt "$domain/tent.$seed" "$domain/erm.$seed" --method tent --adapt both
    adapt "$domain/arm.$seed" "$domain/erm.$seed" --method arm-bn
    adapt "$domain/mabn.$seed" "$domain/meta.$seed"
    adapt "$domain/whole.$seed" "$domain/meta.$seed" --adapt both
    ask "$domain/mabn_tent.$seed" eval --model "$domain/meta.$seed" --adapter "$domain/mabn.$seed.sites/$domain.safetensors" \
        --data "pacs96/$domain" --val-fraction 0 --split train --tta tent
    ask "$domain/shuffle.$seed" adapt --model "$domain/meta.$seed" --data pacs96 --domains photo,art_painting,cartoon --seed "$seed" \
        --out "$domain/shuffle.$seed.sites" --shuffle-domains
    for count in 1 4 12 32; do
        adapt "$domain/count.meta.$count.$seed" "$domain/meta.$seed" --count $count
        adapt "$domain/count.joint.$count.$seed" "$domain/joint.$seed" --count $count
    done
}
rival_cells() {
    cell "$domain/arm_bn.$seed" --model "$domain/erm.$seed" --method arm-bn --epochs 1 --lr 1e-4
    cell "$domain/arm_cml.$seed" --model "$domain/erm.$seed" --method arm-cml --epochs 1 --lr 1e-4
    cell "$domain/arm_ll.$seed" --model "$domain/erm.$seed" --method arm-ll --epochs 1 --lr 1e-4 --inner-lr 0.01
    cell "$domain/dmoe.$seed" --model "$domain/erm.$seed" --method meta-dmoe --epochs 1 --lr 1e-4 --episodes "$episodes" \
        --inner-lr 0.05 --outer-lr 3e-5
    for rival in arm_bn arm_cml arm_ll dmoe; do
        adapt "$domain/d_$rival.$seed" "$domain/$rival.$seed"
    done
}
for part in $parts; do
    for seed in $seeds; do
        for domain in $domains; do
            "${part}_cells"
        done
    done
done

row() { # row TITLE KEY CELL
    printf '| %s |' "$1"
    for domain in $domains; do
        # shellcheck disable=SC2046
        printf ' %s |' "$(summary "$2" $(files "$domain" "$3"))"
    done
    printf '\n'
}
heads() { # heads FIRST: a table's head with the domains
    printf '| %s |' "$1"
    # shellcheck disable=SC2086
    printf ' %s |' $domains
    printf '\n| --- |'
    for domain in $domains; do printf ' --- |'; done
    printf '\n'
}
heads method
row ERM before bn
row "ERM + BN statistics" after bn
row "ERM + TENT (statistics, then entropy)" after tent
row "ERM + statistics of the pictures alone (ARM-BN at test)" after arm
row "joint training" before count.joint.12
row "MABN, not adapted" before mabn
row MABN after mabn
row "MABN, statistics too" after whole
row "MABN + TENT" top1 mabn_tent
case $parts in *rival*)
    row "ARM-BN" after d_arm_bn
    row "ARM-CML" after d_arm_cml
    row "ARM-LL" after d_arm_ll
    row "Meta-DMoE" after d_dmoe
    ;;
esac
printf '\n| all three domains, model without | not adapted | own file | another'"'"'s |\n| --- | --- | --- | --- |\n'
for domain in $domains; do
    printf '| %s |' "$domain"
    for key in before after shuffled; do
        # shellcheck disable=SC2046
        printf ' %s |' "$(summary $key $(files "$domain" shuffle))"
    done
    printf '\n'
done
for stage in meta joint; do
    printf '\n'
    heads "pictures, $([ $stage = meta ] && echo with || echo without) episodes"
    for count in 1 4 12 32; do
        row $count after "count.$stage.$count"
    done
done
