#!/bin/sh
# SpCL on characters written by hand (omniglot_small1: a character is an identity, its drawer a camera): without labels, with half of the alphabets as labelled
# source, and what is left when a part of the method is taken away; the source domain's own score alone, jointly and in two stages. Three seeds. Goes on cell
# by cell: what is done is kept in build/experiments/reid, so an interrupted run continues. Prints the table of docs/experiments.md.
# Usage: ./run experiment reid        (needs ../shared/data/omniglot_small1.tar, or OMNIGLOT=path of such an archive)
# REID_EPOCHS, REID_ITERS and REID_SEEDS make it smaller: REID_EPOCHS=1 REID_ITERS=2 REID_SEEDS=0 checks the way in a minute.
set -eu
fettle=$(cd "$(dirname "${1:-build/fettle}")" && pwd)/$(basename "${1:-build/fettle}")
archive=$(realpath "${OMNIGLOT:-../shared/data/omniglot_small1.tar}")
work=${EXPERIMENT_DIR:-$(dirname "$fettle")/experiments/reid}
epochs=${REID_EPOCHS:-30} iters=${REID_ITERS:-30} seeds=${REID_SEEDS:-0 1 2}
if [ ! -f "$archive" ]; then
    echo "experiment reid: $archive is missing" >&2
    exit 1
fi
mkdir -p "$work"
cd "$work"

# Target: Korean and Latin; source: the others. Names say whose characters they are.
if [ ! -d target ]; then
    tar -xf "$archive"
    mkdir -p source.part target.part
    for folder in omniglot_small1/*/; do
        case $folder in
        */Korean_* | */Latin_*) mv "$folder" target.part/ ;;
        *) mv "$folder" source.part/ ;;
        esac
    done
    rm -rf source omniglot_small1
    mv source.part source
    mv target.part target
fi

# Characters must not be mirrored or half erased: shifts, small turns. Batch norms take the whole batch of a domain: --bn-group is for comparisons with
# what the published runs did.
common="--bn-group 64 --batch 64 --epochs $epochs --iters $iters --eval-step $epochs --lr 1e-3 --lr-step $((epochs * 2 / 3 + 1)) --k1 20 --augment crop=3+rotate:degrees=10
    --image 32x32"
arch=resnet:block=basic,blocks=1+1+1+1,width=16,img=32
net="--model none --arch $arch"

# The run of a cell: goes on where it was killed, and is done when its result is there.
cell() { # cell NAME SEED FLAG...
    name=$1-$2 seed=$2
    shift 2
    [ -f "$name.json" ] && return
    resume=
    [ -f "$name/run.json" ] && resume=--resume
    [ -d "$name" ] && [ -z "$resume" ] && rm -rf "$name"
    # shellcheck disable=SC2086
    "$fettle" reid train "$@" $common --seed "$seed" --out "$name" --quiet --json $resume >"$name.tmp"
    mv "$name.tmp" "$name.json"
}
score() { # score NAME RUN FLAG...
    name=$1 from=$2
    shift 2
    [ -f "$name.json" ] && return
    "$fettle" reid eval --model "$from" "$@" --quiet --json >"$name.tmp"
    mv "$name.tmp" "$name.json"
}
value() { tr ',{}' '\n\n\n' <"$2" | sed -n "s/^ *\"$1\": *//p" | head -n 1; }
# Mean and spread over the seeds of KEY in the files NAME-SEED.json, in percent.
over_seeds() { # over_seeds KEY NAME
    for seed in $seeds; do value "$1" "$2-$seed.json"; done |
        awk '/[0-9]/ { s += 100 * $1; q += 1e4 * $1 * $1; n++ } END { if (!n) exit; m = s / n; v = q / n - m * m; printf "%.1f +- %.1f", m, sqrt(v > 0 ? v : 0) }'
}

for seed in $seeds; do
    # shellcheck disable=SC2086
    {
        cell usl $seed $net --data target
        cell uda $seed $net --data target --source source
        cell uda-mean $seed $net --data target --source source --update mean
        cell uda-shared $seed $net --data target --source source --norms shared
        cell uda-no-outliers $seed $net --data target --source source --outliers drop
        cell uda-no-criterion $seed $net --data target --source source --labels clusters
        cell uda-instances $seed $net --data target --source source --labels instances
        cell usl-no-outliers $seed $net --data target --outliers drop
        cell usl-no-criterion $seed $net --data target --labels clusters
        cell usl-instances $seed $net --data target --labels instances
        cell supervised $seed $net --data target --labels supervised
        cell source-alone $seed $net --data source --labels supervised
        cell two-stages $seed --model source-alone-$seed --data target
        # A smaller radius, and the encoder of the source as the beginning, as ImageNet's weights are in the paper.
        cell usl-0.5 $seed $net --data target --eps 0.5
        cell uda-0.5 $seed $net --data target --source source --eps 0.5
        cell two-stages-0.5 $seed --model source-alone-$seed --data target --eps 0.5
        cell begun-0.5 $seed --model source-alone-$seed --data target --source source --eps 0.5
        cell source-longer $seed --model source-alone-$seed --data source --labels supervised
    }
    score untrained-$seed none --arch "$arch" --seed "$seed" --crop-pct 0 --interpolation bicubic --data target
    score rerank-$seed uda-$seed --data target --rerank
    score transfer-$seed source-alone-$seed --data target
    score source-joint-$seed uda-$seed --data source --domain source
    score source-two-stages-$seed two-stages-$seed --data source
    score source-uda-0.5-$seed uda-0.5-$seed --data source --domain source
    score source-begun-0.5-$seed begun-0.5-$seed --data source --domain source
    score longer-transfer-$seed source-longer-$seed --data target
done

printf '| target (66 characters x 20 drawers) | mAP, %% | rank 1, %% | purity, %% | pair F1, %% |\n| --- | --- | --- | --- | --- |\n'
for name in untrained usl uda uda-mean uda-shared uda-no-outliers uda-no-criterion uda-instances usl-no-outliers usl-no-criterion usl-instances supervised \
    two-stages usl-0.5 uda-0.5 two-stages-0.5 begun-0.5; do
    printf '| %s | %s | %s | %s | %s |\n' "$name" "$(over_seeds map $name)" "$(over_seeds rank1 $name)" "$(over_seeds purity $name)" \
        "$(over_seeds pair_f1 $name)"
done
printf '| source alone, no target data | %s | %s | | |\n' "$(over_seeds map transfer)" "$(over_seeds rank1 transfer)"
printf '| source alone, twice as long | %s | %s | | |\n' "$(over_seeds map longer-transfer)" "$(over_seeds rank1 longer-transfer)"
printf '| uda, re-ranked | %s | %s | | |\n' "$(over_seeds map rerank)" "$(over_seeds rank1 rerank)"
printf '\n| source (70 characters x 20 drawers) | mAP, %% | rank 1, %% |\n| --- | --- | --- |\n'
printf '| alone | %s | %s |\n' "$(over_seeds map source-alone)" "$(over_seeds rank1 source-alone)"
printf '| alone, twice as long | %s | %s |\n' "$(over_seeds map source-longer)" "$(over_seeds rank1 source-longer)"
printf '| jointly with the target | %s | %s |\n' "$(over_seeds map source-joint)" "$(over_seeds rank1 source-joint)"
printf '| then the target, in two stages | %s | %s |\n' "$(over_seeds map source-two-stages)" "$(over_seeds rank1 source-two-stages)"
printf '| jointly, eps 0.5 | %s | %s |\n' "$(over_seeds map source-uda-0.5)" "$(over_seeds rank1 source-uda-0.5)"
printf '| jointly, eps 0.5, begun from the source alone | %s | %s |\n' "$(over_seeds map source-begun-0.5)" "$(over_seeds rank1 source-begun-0.5)"
