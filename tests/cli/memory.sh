#!/bin/sh
# A memory budget through the program: what it leads to is printed, recorded and done again by a resume, killed or not; a budget that does not do is
# refused with one that would; what forbids parts is said. memory.sh HARNESS FETTLE JSON_CHECK
FETTLE=$2 JSON_CHECK=$3
. "$1"

net="--model none --arch vit:dim=96,depth=6,heads=3,patch=4,img=48,mlp=4,classes=3"
set_of="--batch 8 --seed 2 --threads 1"

# ---- plan: as it is, with values computed again, in parts, refused ----
run 0 plan $net --adapter hydra:rank=2 $set_of --json
json total_bytes:int process_bytes:int repeated_steps:int repeated_share:real repeated_layers:text parts:int
same "steps again without a budget" "$(value repeated_steps)" 0
same "parts without a budget" "$(value parts)" 1
whole=$(value total_bytes)
fits() { [ "$(value total_bytes)" -le "$1" ] || complain "planned $(value total_bytes) of $1 bytes"; }
tight=$((whole - 9000000))
run 0 plan $net --adapter hydra:rank=2 $set_of --memory $tight --json
fits $tight
same "parts" "$(value parts)" 1
[ "$(value repeated_steps)" -gt 0 ] || complain "nothing is computed again"
value repeated_layers | grep -q 'blocks\.0' || complain "the layers are not named"
run 0 plan $net --adapter hydra:rank=2 $set_of --memory $tight
prints "computed again" "% more work, in blocks.0-"
run 0 plan $net --adapter hydra:rank=2 $set_of --memory $tight --steps
prints "again    " " more): blocks.0-"
tiny=$((whole - 20500000))
run 0 plan $net --adapter hydra:rank=2 $set_of --memory $tiny
prints "8, run in " " parts of "
run 1 plan $net --adapter hydra:rank=2 $set_of --memory 20M
says "even with a batch of 8 run image by image" "the memory budget is 20.0 MiB"
one_sentence
least=$(sed -n 's/.*the plan needs \([0-9]*\)\.[0-9]* MiB.*/\1/p' err)
run 0 plan $net --adapter hydra:rank=2 $set_of --memory $((least + 2))M
run 2 plan $net --memory 12Q
run 0 plan $net --adapter hydra:rank=2 $set_of --mode infer --memory $whole
run 1 plan $net --adapter hydra:rank=2 $set_of --mode infer --memory 20M
says "memory budget"

# Batch norm takes its statistics from the whole batch.
run 1 plan --model none --arch resnet20 --adapter full --batch 32 --memory 25M
says "cannot be run in parts, for batch norm takes its statistics from all of it (" "even with values computed again"
one_sentence

# ---- runs ----
run 0 data synth --out shapes --domains 1 --classes 3 --per-class 20 --val-per-class 4 --seed 3 --quiet
job="tune $net --data shapes/flat --adapter hydra:rank=2 $set_of --lr 5e-3 --epochs 2 --augment none"
run 0 $job --out free
run 0 $job --out tight --memory $((whole - 3000000)) --json
says "memory: " " MiB planned" "computed again going back: blocks.0-" "% more work)"
planned=$(value planned_bytes)
[ "$planned" -le $((whole - 3000000)) ] || complain "$planned bytes are planned"
grep -q '"repeated_steps": [1-9]' tight/run.json || complain "run.json does not tell"
grep -q '"batch_parts": 1' tight/run.json || complain "run.json does not tell the parts"
run 0 $job --out parts --memory $((whole - 16000000))
says "a batch of 8 runs in " "parts of"
grep -q '"batch_parts": [2-8]' parts/run.json || complain "the batch was run as a whole"
run 1 $job --out none --memory 20M
says "the memory budget is"
[ ! -e none ] || complain "a refused run left a folder"

# The second order of an episode; and what forbids parts there.
run 0 data synth sites --domains 2 --quiet
stages="meta --data sites --model none --arch resnet_cifar:depth=8,width=8,classes=5 --hidden 64 --projection 32 --epochs 1 --episodes 2 --threads 1"
run 0 $stages --out episodes --memory 53M
says "memory: " " of 53 MiB planned" "computed again going back: "
run 1 $stages --out refused --memory 20M
says "are not run in parts" "even with values computed again"

# Killed and resumed, under another budget, which does not count: the same bits.
for after in 0.3 0.9 1.7; do
    "$FETTLE" $job --out killed --memory $((whole - 16000000)) --save-every 0.1 $([ -e killed ] && echo --resume) >/dev/null 2>&1 </dev/null &
    pid=$!
    sleep $after
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
done
resume=$([ -e killed ] && echo --resume)
run 0 $job --out killed --memory $([ -n "$resume" ] && echo 1G || echo $((whole - 16000000))) $resume
cmp -s killed/adapter.safetensors parts/adapter.safetensors || complain "a resumed run in parts ends with other bits"
finish
