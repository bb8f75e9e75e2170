#!/bin/sh
# The whole way on synthetic data: draw, train, tune with each adapter, merge, evaluate, predict, embed, plan, inspect, convert.
# path.sh HARNESS FETTLE JSON_CHECK RECIPES
FETTLE=$2 JSON_CHECK=$3
. "$1"

run 0 data synth --out shapes --per-class 12 --val-per-class 4 --seed 3 --json
json images:int out:text
same "images drawn" "$(value images)" 160
run 0 data check --data shapes/flat --json
json images:int classes:int unreadable:int duplicates:int leaks:int empty_classes:int findings:list splits:object
run 0 data check shapes/flat
prints "unreadable" "duplicates"
run 0 data stats shapes/flat --json
json classes:object images:object mean:list std:list fingerprint:text
run 0 data stats shapes/flat
prints "mean" "deviation"

run 0 train --arch vit:dim=32,depth=2,heads=2,patch=8,img=32 --data shapes/flat --out base --epochs 2 --batch 16 --json --quiet
json run:text steps:int epochs:int train_loss:real top1:real top5:real macro_f1:real loss:real images:int best:object trainable:int \
    parameters:int seconds:real images_per_s:real planned_bytes:int images_skipped:int
[ ! -s err ] || complain "--quiet is not quiet"
same "trained values" "$(value trainable)" "$(value parameters)"
for file in run.json state.safetensors adapter.safetensors model.safetensors best.safetensors log.csv report.html; do
    [ -s base/$file ] || complain "the run has no $file"
done
same "lines of log.csv" "$(wc -l <base/log.csv)" 3
same "temporary files left" "$(find base -name '.*.tmp' | wc -l)" 0

for adapter in hydra:dropout=0.1 hydra:preset=vtab lora seqlora linear bitfit full; do
    name=$(echo "$adapter" | tr ':=' '__')
    run 0 tune --model base --data shapes/sketch --adapter "$adapter" --out "t_$name" --epochs 2 --batch 16 --lr 5e-3 --json --quiet
    json top1:real trainable:int
    trained=$(value trainable)
    during=$(value loss)
    run 0 eval --model base --adapter "t_$name" --data shapes/sketch --json
    json top1:real top5:real macro_f1:real loss:real images:int skipped:int
    adapted=$(value loss)
    same "loss of $adapter in training and afterwards, five digits" "$(echo "$during" | cut -c1-7)" "$(echo "$adapted" | cut -c1-7)"
    run 0 merge --model base --adapter "t_$name" --out "m_$name.safetensors" --check shapes/sketch --json
    json max_abs_diff:real max_abs_logit:real top1_agreement:real merged:list images:int out:text
    same "agreement after merging $adapter" "$(value top1_agreement)" 1.0
    run 0 eval --model "m_$name.safetensors" --data shapes/sketch --json
    same "loss after merging $adapter, six digits" "$(value loss | cut -c1-8)" "$(echo "$adapted" | cut -c1-8)"
    run 0 inspect "t_$name" --json
    json tensors:list values:int kind:text metadata:object
    same "values in the adapter's file" "$(value values)" "$trained"
    same "kind of the adapter's file" "$(value kind)" '"adapter"'
done
# A saved model remembers how it was merged, and an adapter does not fit it any more.
run 0 inspect m_lora.safetensors
prints "fettle.merged" "architecture" "vit:dim=32,depth=2" "blocks.1.attn.qkv" "linear layers"
run 1 merge --model m_lora.safetensors --adapter t_lora --out again.safetensors
says "another model"
one_sentence
[ ! -e again.safetensors ] || complain "a refused merge left a file"
# Over the tolerance: status 3, no file, the numbers all the same.
run 3 merge --model base --adapter t_seqlora --out over.safetensors --tolerance 1e-12 --json
json max_abs_diff:real max_abs_logit:real merged:list out:any
[ ! -e over.safetensors ] || complain "a merge over its tolerance left a file"
same "sentences" "$(wc -l <err)" 1

# shellcheck disable=SC2046
run 0 predict --model m_lora.safetensors $(find shapes/sketch/val -name '*.png' | sort | head -n 5)
same "lines of predict" "$(wc -l <out)" 5
grep -qE "^shapes/sketch/val/[a-z]+/0000.png	[a-z]+	(0\.[0-9]+|1\.0+)$" out || complain "not path, label, probability"
run 0 predict --model base --adapter t_lora shapes/sketch/val/disc/0000.png --json
json predictions:list
run 0 embed --model base --adapter t_lora --data shapes/sketch --out features.safetensors --json
json images:int features:int out:text
same "features" "$(value images) $(value features)" "80 32"
run 0 inspect features.safetensors
prints "f32   [80, 32]" "i64   [80]"

run 0 plan --model base --adapter hydra --batch 16 --json
json total_bytes:int arena_bytes:int weight_bytes:int packed_bytes:int floor_bytes:int trainable:int parameters:int \
    gflops_per_image:real seconds_per_step:real steps:int
run 0 plan --model base --adapter hydra --batch 16 --steps
prints "memory in all" "GFLOP an image" "time at least"
run 0 plan --model none --arch vit_tiny_patch16_224:depth=2 --mode infer --batch 2
prints "memory in all"

run 0 convert m_lora.safetensors copy.safetensors --json
json out:text
run 2 convert m_lora.safetensors copy.safetensors
says "copy.safetensors exists already"
run 0 convert m_lora.safetensors copy.safetensors --force
run 2 merge --model base --adapter t_lora --out copy.safetensors
says "copy.safetensors exists already"
run 0 eval --model copy.safetensors --data shapes/sketch --json
same "loss of the copy" "$(value loss)" "$("$FETTLE" eval --model m_lora.safetensors --data shapes/sketch --json | "$JSON_CHECK" -v loss)"

# A lora as others write it: the same results from the folder.
run 0 convert --peft t_lora lora_folder
run 0 eval --model base --adapter lora_folder --data shapes/sketch --json
same "loss of the adapter from its folder, five digits" "$(value loss | cut -c1-7)" \
    "$("$FETTLE" eval --model base --adapter t_lora --data shapes/sketch --json | "$JSON_CHECK" -v loss | cut -c1-7)"
run 0 inspect lora_folder
prints "adapter (PEFT)" "lora_A"
run 2 convert --peft t_hydra_dropout_0.1 other_folder
says "PEFT has no form for adapter 'hydra'"
run 0 inspect base --all
prints "architecture" "names in the file" "normalisation" "attn.qkv" "blocks.1.mlp.fc2.bias"

# Another image size resamples the position embedding; half of the classes make a new head.
run 0 tune --model base --data shapes/flat --adapter lora --classes disc,ring --image 48 --steps 2 --batch 8 --out half
says "head of 5 outputs is replaced by a new one for 2 classes" "resampled"
run 0 eval --model base --adapter half --data shapes/flat --classes disc,ring --json
same "images of two classes" "$(value images)" 8
# Logits and features do not care whether the pictures' classes are the model's.
run 0 merge --model base --adapter half --check shapes/flat --out half.safetensors --json
same "images compared" "$(value images)" 20
run 0 embed --model half.safetensors --data shapes/flat --out all.safetensors --json
same "features of five classes by a model of two" "$(value images)" 80

# The same seed gives the same weights, and a recipe's values are the flags'.
printf 'adapter: lora\nepochs: 1\nbatch: 8\nlr: 0.25\naugment: none\n' >some.yaml
run 0 tune --model base --data shapes/flat --recipe some.yaml --out one --lr 1e-3 --quiet
run 0 tune --model base --data shapes/flat --adapter lora --epochs 1 --batch 8 --lr 1e-3 --augment none --out two --quiet
cmp one/adapter.safetensors two/adapter.safetensors || complain "a recipe is not the same as its flags"
# A row of the log counts its own epoch's time too.
awk -F, 'NR == 2 { exit !($NF > 0) }' one/log.csv || complain "log.csv: no time passed in $(tail -n 1 one/log.csv)"

# The published VTAB schedule: two epochs at 1e-6, ten of warm-up, then a cosine over 500 whose warm-up is not subtracted.
export FETTLE_RECIPES="$4"
run 0 tune --model base --data shapes/flat --recipe vtab1k/cifar --image 32 --epochs 12 --batch 30 --out vtab --quiet
awk -F, 'NR > 1 {
    e = $1 > 0 ? $1 - 1 : 0
    want = e < 10 ? 1e-6 + e * (5e-4 - 1e-6) / 10 : 1e-5 + (5e-4 - 1e-5) / 2 * (1 + cos(3.14159265358979 * e / 500))
    d = $3 / want - 1
    if (d > 1e-6 || d < -1e-6) { print "epoch " $1 ": " $3 " is not " want; bad = 1 }
} END { exit bad || NR != 13 }' vtab/log.csv >awk_out || complain "schedule of the VTAB recipes: $(cat awk_out)"
same "evaluations" "$(awk -F, 'NR > 1 && $6 != "" { n++ } END { print n }' vtab/log.csv)" 2

run 0 bench peak --json
json f32_gflops:real bf16_gflops:real threads:int
finish
