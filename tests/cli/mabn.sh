#!/bin/sh
# Known sites to a run, a new site to a file, the file in an evaluation; rivals, refusals, and a run that is stopped and goes on to the same
# bits. mabn.sh HARNESS FETTLE JSON_CHECK CUT_TENSOR
FETTLE=$2 JSON_CHECK=$3 CUT=$4
. "$1"

run 0 data synth --out sites --domains 3 --classes 3 --per-class 10 --val-per-class 4 --quiet
small="--data sites --arch resnet_cifar:depth=8,width=8,img=32,classes=3 --batch 10 --support 4 --query 4 --hidden 16 --projection 8"
rates="--inner-lr 0.05 --outer-lr 1e-3 --lr 1e-3 --quiet"

# shellcheck disable=SC2086
run 0 meta --model none $small $rates --holdout sketch --epochs 1 --episodes 4 --out whole --json
json run:text steps:int episodes:int joint_loss:real outer_loss:real adapting:int planned_bytes:int top1:real
same "episodes" "$(value episodes)" 4
for file in model branch state; do
    [ -s whole/$file.safetensors ] || complain "whole/$file.safetensors is missing"
done
run 0 inspect whole/model.safetensors
grep -q projector out && complain "the model's file holds the branch"

# The stages one by one end where both together do.
# shellcheck disable=SC2086
run 0 meta --model none $small $rates --holdout sketch --stage joint --epochs 1 --out joint
# shellcheck disable=SC2086
run 0 meta --model joint $small $rates --holdout sketch --stage meta --episodes 4 --out second --json
cmp -s whole/model.safetensors second/model.safetensors || complain "two stages in two runs give other weights than in one"

# Stopped in the first stage, resumed: the same bits.
# shellcheck disable=SC2086
"$FETTLE" meta --model none $small $rates --holdout sketch --epochs 1 --episodes 4 --out stopped >out 2>err &
sleep 0.2
kill -TERM $!
wait $!
if [ ! -s stopped/model.safetensors ]; then
    run 0 meta --out stopped --resume --quiet
fi
for file in model branch; do
    cmp -s whole/$file.safetensors stopped/$file.safetensors || complain "$file differs after stop and resume"
done

# Killed at any moment, the same; what is asked for besides the run's own options is told.
for pause in 0.15 0.4 0.7; do
    # shellcheck disable=SC2086
    "$FETTLE" meta --model none $small $rates --holdout sketch --epochs 1 --episodes 4 --out "killed$pause" >out 2>err &
    sleep $pause
    kill -KILL $! 2>/dev/null
    wait $! 2>/dev/null
    [ -f "killed$pause/run.json" ] && [ ! -f "killed$pause/model.safetensors" ] || continue
    run 0 meta --out "killed$pause" --resume --lr 0.5
    says "lr is left aside"
    cmp -s whole/model.safetensors "killed$pause/model.safetensors" || complain "the model differs after SIGKILL and resume"
done

# A new site without labels.
run 0 adapt --model whole --images sites/sketch/train/disc --out site.safetensors --count 6 --json --quiet
json out:text bytes:int seconds:real domains:list
run 0 eval --model whole --data sites/sketch --json
plain=$(value loss)
run 0 eval --model whole --adapter site.safetensors --data sites/sketch --json
[ "$(value loss)" = "$plain" ] && complain "the site's file changes nothing"
adapted=$(value loss)
run 0 adapt --model whole --images sites/sketch/train/disc --out again.safetensors --count 6 --quiet
cmp -s site.safetensors again.safetensors || complain "the same pictures give another file"
run 0 adapt --model whole --images sites/sketch/train/disc --out zero.safetensors --inner-lr 0 --quiet
run 0 eval --model whole --adapter zero.safetensors --data sites/sketch --json
same "loss with a rate of 0" "$(value loss)" "$plain"

# Every method, every site.
run 0 adapt --model whole --data sites --out held --quiet --json
prints '"sketch"'
grep -q '"flat"' out && complain "a site of the training was adapted though one was held out"
for method in mabn bn tent arm-bn; do
    run 0 adapt --model whole --data sites --domains flat,sketch,textured --out "d_$method" --method $method --shuffle-domains --json
    json before:real after:real shuffled:real worst_after:real domains:list
    run 0 eval --model whole --adapter "d_$method/flat.safetensors" --data sites/flat
done
run 0 adapt --model whole --data sites --out both --adapt both --quiet
run 0 eval --model whole --data sites/sketch --tta tent --json
json top1:real tta:object
run 0 eval --model whole --adapter site.safetensors --data sites/sketch --tta tent:stats=batch,lr=1e-2 --batch 6
prints "batches"
run 0 eval --model whole --adapter site.safetensors --data sites/sketch --tta tent:lr=0 --json
same "loss with TENT's rate at 0, four digits" "$(value loss | cut -c1-6)" "$(echo "$adapted" | cut -c1-6)"

# Refused.
run 1 adapt --model whole --images sites/sketch/train/nowhere --out x.safetensors
one_sentence
run 2 adapt --model whole --images sites/sketch/train/disc --out x.safetensors --method arm-cml
says "trained for it"
run 2 adapt --model whole --images sites/sketch/train/disc --out x.safetensors --method bn --adapt affine
says "statistics alone"
run 2 adapt --model whole --out x.safetensors
run 2 adapt --model whole/model.safetensors --images sites/sketch/train/disc --out x.safetensors
says "needs a RUN"
run 2 meta --model none --data sites --arch vit:dim=16,depth=1,heads=2,patch=8,img=32 --out none_at_all
says "no batch norm"
# shellcheck disable=SC2086
run 2 meta --model whole/model.safetensors --data sites --stage meta --out x
says "branch.safetensors"
# shellcheck disable=SC2086
run 2 meta --model none $small --holdout nowhere --out x
says "no domain 'nowhere'"
# shellcheck disable=SC2086
run 1 meta --model none --data sites --arch resnet_cifar:depth=8,width=8,img=32,classes=3 --support 400 --out x
says "no domain has"
run 2 eval --model whole --data sites/sketch --tta tent:stats=other
says "neither source nor batch"
run 0 adapt --model whole --images sites --out none.safetensors
says "no pictures to adapt from"
# shellcheck disable=SC2086
run 0 meta --model none $small $rates --epochs 1 --episodes 1 --out other --seed 5
run 1 eval --model other --adapter site.safetensors --data sites/sketch
says "trained on another model"


# A file with a layer missing, or damaged; made from no picture, or one.
"$CUT" site.safetensors cut.safetensors layer2.0.bn1.bias || complain "cut_tensor failed"
run 1 eval --model whole --adapter cut.safetensors --data sites/sketch
says "tensor layer2.0.bn1.bias [16] is missing"
head -c 2000 site.safetensors >short.safetensors
run 1 eval --model whole --adapter short.safetensors --data sites/sketch
one_sentence
run 0 adapt --model whole --images sites/sketch/train/disc --count 0 --out none.safetensors --json
says "the trained values stay"
prints '"before": null' '"adapted": false'
run 0 eval --model whole --adapter none.safetensors --data sites/sketch --json
same "loss with a file of no picture" "$(value loss)" "$plain"
mkdir one
cp sites/sketch/train/disc/0000.png one/
for method in mabn bn tent arm-bn; do
    run 0 adapt --model whole --images one --out one.safetensors --method $method
    run 0 eval --model whole --adapter one.safetensors --data sites/sketch
done
run 0 eval --model whole --data sites/sketch --json
run 0 adapt --model whole --data sites --out scored --json
json macro_f1_before:real macro_f1_after:real worst_group_before:text

finish
