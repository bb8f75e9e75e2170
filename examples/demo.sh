#!/bin/sh
# The whole job on made-up pictures: train a small vision transformer on one visual domain, tune it to other shapes in another domain in
# four ways, merge Hydra away and prove it, and print one table. Usage: examples/demo.sh [FETTLE] (./run demo calls it).
set -eu
fettle=$(cd "$(dirname "${1:-build/fettle}")" && pwd)/$(basename "${1:-build/fettle}")
work=$(dirname "$fettle")/demo
rm -rf "$work"
mkdir -p "$work"
cd "$work"

say() { printf '\n%s\n' "$*"; }
show() { # show COMMAND...: print the command as a user would type it, then run it
    printf '  $ fettle %s\n' "$*"
    "$fettle" "$@" --quiet >>demo.log
}
value() { # value KEY FILE: a number from a JSON result
    tr ',{}' '\n\n\n' <"$2" | sed -n "s/^ *\"$1\": *//p" | head -n 1
}
percent() { awk -v x="$1" 'BEGIN { printf "%.1f", 100 * x }'; }

say "1. Pictures: five shapes as flat colours for the first training, five other shapes as pencil sketches for the new task"
show data synth --out first --domains 1 --per-class 300 --val-per-class 60
show data synth --out second --domains 2 --first-class 5 --per-class 40 --val-per-class 100

say "2. A small vision transformer learns the first task from nothing"
show train --arch vit:dim=64,depth=4,heads=4,patch=4,img=32 --data first/flat --out base --epochs 12 --batch 32 --lr 2e-3 --wd 0.05 --augment none

say "3. It is tuned to the second task, 40 pictures a class, in four ways"
for adapter in linear lora:at=mlp.fc2,rank=8 hydra:rank=8 full; do
    name=${adapter%%:*}
    lr=3e-3
    [ "$name" = full ] && lr=5e-4
    show tune --model base --data second/sketch --adapter "$adapter" --out "$name" --epochs 20 --batch 20 --lr $lr --augment none
    "$fettle" eval --model base --adapter "$name" --data second/sketch --json --quiet >"$name.json"
done

say "4. Hydra is merged away; the merged model must give the same answers as the adapted one"
printf '  $ fettle merge --model base --adapter hydra --check second/sketch --out merged.safetensors\n'
"$fettle" merge --model base --adapter hydra --check second/sketch --out merged.safetensors --json --quiet >merge.json
"$fettle" eval --model merged.safetensors --data second/sketch --json --quiet >merged.json
printf '  largest difference of a logit %.2g (largest logit %.3g), same answer on %s %% of the pictures\n' "$(value max_abs_diff merge.json)" \
    "$(value max_abs_logit merge.json)" "$(percent "$(value top1_agreement merge.json)")"

say "5. The merged file is an ordinary model"
first=$(find second/sketch/val -name '*.png' | sort | sed -n '1p;101p;201p')
# shellcheck disable=SC2086
"$fettle" predict --model merged.safetensors $first --quiet | sed 's/^/  /'

say "On 500 pictures of the second task that no training saw:"
printf '  %-22s %10s %12s %10s\n' "" "top-1, %" "trained" "seconds"
for name in linear lora hydra full; do
    printf '  %-22s %10s %12s %10s\n' "$name" "$(percent "$(value top1 $name.json)")" "$(tr ',' '\n' <"$name/run.json" | sed -n 's/.*"trainable": *\([0-9]*\).*/\1/p' | head -n 1)" \
        "$(tail -n 1 "$name/log.csv" | awk -F, '{ printf "%.1f", $NF }')"
done
printf '  %-22s %10s %12s\n' "hydra, merged" "$(percent "$(value top1 merged.json)")" 0
say "Everything is in $work; each run's report.html shows its curves."
