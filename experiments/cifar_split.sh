#!/bin/sh
# Half of CIFAR-10 for training a vision transformer from nothing, the other half as the new task: linear probe, BitFit, LoRA, SeqLoRA,
# Hydra and full tuning side by side. Goes on cell by cell: what is done is kept in build/experiments/cifar_split, so an interrupted
# run continues. Prints the table of docs/experiments.md.
# Usage: ./run experiment cifar_split        (needs ../shared/data/cifar10.tar, or CIFAR10=path of such an archive)
set -eu
fettle=$(cd "$(dirname "${1:-build/fettle}")" && pwd)/$(basename "${1:-build/fettle}")
archive=$(realpath "${CIFAR10:-../shared/data/cifar10.tar}")
work=${EXPERIMENT_DIR:-$(dirname "$fettle")/experiments/cifar_split}
if [ ! -f "$archive" ]; then
    echo "experiment cifar_split: $archive is missing" >&2
    exit 1
fi
mkdir -p "$work"
cd "$work"
[ -d cifar10 ] || { tar -xf "$archive" && [ -d cifar10 ]; }
old=airplane,automobile,bird,cat,deer
new=dog,frog,horse,ship,truck

# The run of a cell: goes on where it was killed, and is done when its result is there.
cell() { # cell NAME COMMAND...
    name=$1
    shift
    [ -f "$name.json" ] && return
    resume=
    [ -f "$name/run.json" ] && resume=--resume
    [ -d "$name" ] && [ -z "$resume" ] && rm -rf "$name"
    # shellcheck disable=SC2086
    "$fettle" "$@" --out "$name" --quiet --json $resume >"$name.tmp"
    mv "$name.tmp" "$name.json"
}
value() { tr ',{}' '\n\n\n' <"$2" | sed -n "s/^ *\"$1\": *//p" | head -n 1; }
percent() { awk -v x="$1" 'BEGIN { printf "%.1f", 100 * x }'; }

cell base train --arch vit:dim=64,depth=6,heads=2,patch=4,img=32 --data cifar10 --classes $old --epochs 20 --batch 64 --lr 1.5e-3 --wd 0.05 \
    --smoothing 0.1 --augment light
[ -f base.eval.json ] || { "$fettle" eval --model base --data cifar10 --split test --classes $old --json --quiet >base.tmp && mv base.tmp base.eval.json; }
printf 'base: %s %% of the first five classes (%s test images)\n\n' "$(percent "$(value top1 base.eval.json)")" "$(value images base.eval.json)"
printf '| adapter | trained values | top-1 on the new classes, %% | images/s in training |\n| --- | --- | --- | --- |\n'
for spec in linear bitfit lora:rank=8 seqlora:rank=8 hydra:rank=8 full; do
    name=${spec%%:*}
    lr=3e-3
    [ "$name" = full ] && lr=1e-3
    cell "$name" tune --model base --data cifar10 --classes $new --adapter "$spec" --epochs 8 --batch 64 --lr $lr --wd 1e-4 --augment light
    [ -f "$name.eval.json" ] || { "$fettle" eval --model base --adapter "$name" --data cifar10 --split test --classes $new --json --quiet >eval.tmp &&
        mv eval.tmp "$name.eval.json"; }
    printf '| `%s` | %s | %s | %s |\n' "$spec" "$(value trainable "$name.json")" "$(percent "$(value top1 "$name.eval.json")")" \
        "$(awk -F, 'NR > 1 { s += $(NF - 1); n++ } END { printf "%.0f", n ? s / n : 0 }' "$name/log.csv")"
done
