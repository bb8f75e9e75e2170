#!/bin/sh
# The example on the public headers tunes, merges and predicts; one quadratic neuron learns XOR.
# example.sh HARNESS FETTLE JSON_CHECK EXAMPLE XOR
FETTLE=$2 JSON_CHECK=$3 example=$4 xor=$5
. "$1"

run 0 data synth --out shapes --per-class 8 --val-per-class 2
run 0 train --arch vit:dim=32,depth=1,heads=2,patch=8,img=32 --data shapes/flat --out base --epochs 1 --quiet
last="tune_merge_predict base shapes/sketch run IMAGE"
"$example" base shapes/sketch run shapes/sketch/val/ring/0000.png >out 2>err || complain "the example failed"
prints "trained " "merged; outputs differ by at most" "shapes/sketch/val/ring/0000.png: "
run 0 eval --model run/merged.safetensors --data shapes/sketch
status=0
"$example" base nowhere run2 x >out 2>err || status=$?
same "status of a failure" "$status" 1
grep -q "nowhere: no such folder" err || complain "the example does not say what is wrong"

last="xor_neuron 3"
"$xor" 3 >out 2>err || complain "the neuron failed"
prints "one quadratic neuron, 9 values: XOR learnt from 3 of 3 starts, at most 4 of 4 cases right, largest error 0.0" \
    "one ordinary neuron, 3 values: XOR learnt from 0 of 3 starts" "largest error 0.5"
last="xor_neuron none"
status=0
"$xor" none >out 2>err || status=$?
same "status of wrong use" "$status" 2
finish
