#!/bin/sh
# Quadratic networks from random weights: the recipe with all its parts, networks of the studies (where quadratic neurons sit, kernels, blocks that differ)
# trained, saved and recognised. quadranet.sh HARNESS FETTLE JSON_CHECK RECIPES
FETTLE=$2 JSON_CHECK=$3
export FETTLE_RECIPES=$4
. "$1"

run 0 data synth --out shapes --domains 1 --classes 3 --per-class 12 --val-per-class 4 --seed 3 --quiet
frame=depths=1+1+1+1,dim=8,patch=2,img=32

# ---- the recipe
run 0 list recipes
prints "quadranet "
recipe() { # recipe NAME FLAG...: the loss that the run ends with, in $loss
    name=$1
    shift
    run 0 train --recipe quadranet --arch quadranet:$frame --data shapes/flat --epochs 4 --warmup "${warmup:-2}" --lr 2e-3 --batch 12 --out "$name" --quiet --json "$@"
    loss=$(value train_loss)
}
recipe whole
whole=$loss
for line in '"wd": 0.05' '"no-decay-1d": true' '"optimizer": "adamw"' '"schedule": "cosine"' '"lr-min": 1e-6' '"warmup-start": 0.0' '"warmup-first": true' '"clip": 5.0' \
    '"smoothing": 0.1' '"drop-path": 0.2' rand-m9-mstd0.5-inc1 erase=0.25 mixup=0.8 cutmix=1 scale=0.08-1; do
    grep -qF -- "$line" whole/run.json || complain "run.json lacks $line"
done
# 3 steps an epoch: from 0 in a line over 6 steps, then the cosine from its beginning; a row holds the rate of its epoch's last step.
same "rates" "$(cut -d, -f3 whole/log.csv | tail -n 4 | awk '{ printf "%.4f ", 1000 * $1 }')" "0.6667 1.6667 1.5003 0.1349 "
warmup=0
recipe other-warmup
warmup=
[ "$loss" != "$whole" ] || complain "warm-up changes nothing"
recipe other-smoothing --smoothing 0
[ "$loss" != "$whole" ] || complain "label smoothing changes nothing"
recipe other-drop --drop-path 0
[ "$loss" != "$whole" ] || complain "drop path changes nothing"
recipe other-clip --clip 1e-3
[ "$loss" != "$whole" ] || complain "clipping changes nothing"
recipe other-decay --wd 5
[ "$loss" != "$whole" ] || complain "weight decay changes nothing"
steps=rrc:scale=0.08-1,ratio=0.75-1.3333333,filter=bicubic+flip
for augment in "$steps+erase=0.25+mixup=0.8+cutmix=1" "$steps+rand-m9-mstd0.5-inc1+mixup=0.8+cutmix=1" "$steps+rand-m9-mstd0.5-inc1+erase=0.25+cutmix=1" \
    "$steps+rand-m9-mstd0.5-inc1+erase=0.25+mixup=0.8"; do
    n=$((${n:-0} + 1))
    recipe "other-augment$n" --augment "$augment"
    [ "$loss" != "$whole" ] || complain "what $augment lacks changes nothing"
done
run 0 train --recipe quadranet --arch quadranet:$frame --data shapes/flat --epochs 4 --warmup 2 --lr 2e-3 --batch 12 --ema 0.5 --out averaged --quiet --json
same "the loss in training with an average beside it" "$(value train_loss)" "$whole"
same "is the averaged network another one" "$(cmp -s averaged/model.safetensors whole/model.safetensors && echo no || echo yes)" yes

# ---- networks of the studies: each is recognised from its file, without being told
network() { # network NAME OPTIONS WHAT-INSPECT-SAYS
    run 0 train --arch "quadranet:$frame,$2" --data shapes/flat --epochs 1 --batch 12 --out "$1" --quiet --json
    parameters=$(value parameters)
    run 0 convert "$1/model.safetensors" "$1.safetensors" --quiet
    run 0 inspect "$1.safetensors" --json --quiet
    prints "$3"
    same "parameters of $1" "$(value parameters)" "$parameters"
}
network plain mixer=conv mixer=conv
plain=$parameters
network channels mixer=conv,quadratic_channels=true quadratic_channels=true
[ "$parameters" -gt "$plain" ] || complain "quadratic channel layers have no more parameters than plain ones"
network everywhere quadratic_channels=true mixer=quadratic,quadratic_channels=true
for kernel in 3 5 9 11; do network "kernel$kernel" kernel=$kernel kernel=$kernel; done
network blocks blocks=k3e2+k5e4+k7e2+k3e4 blocks=k3e2+k5e4+k7e2+k3e4
network wide depths=1+2+1+1,dim=12 depths=1+2+1+1,dim=12

bad() { # bad TEXT OPTIONS
    run 2 train --arch "quadranet:$2" --data shapes/flat --out nothing
    says "$1"
    one_sentence
    [ ! -e nothing ] || complain "a refused network left a folder"
}
bad "kernel=4 is not odd" $frame,kernel=4
bad "images of 8x8 are smaller" depths=1+1+1+1,dim=8,patch=2,img=8
bad "mixer=cubic is none of" $frame,mixer=cubic
bad "blocks= names 2 blocks" $frame,blocks=k3e2+k5e2
bad "the nearest is kernel" $frame,kernal=5
finish
