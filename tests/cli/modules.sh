#!/bin/sh
# Adapters that insert modules, and those that scale or select, on a small Swin: tuned, merged into one file that is a model for every command,
# tuned and merged once more on top of it. modules.sh HARNESS FETTLE JSON_CHECK
FETTLE=$2 JSON_CHECK=$3
. "$1"

run 0 data synth --out shapes --domains 1 --classes 3 --per-class 12 --val-per-class 4 --seed 3 --quiet
run 0 train --arch swin:dim=12,depths=2+2,heads=2+3,window=4,patch=2,img=32 --data shapes/flat --out base --epochs 1 --batch 12 --quiet

for adapter in mona:n=8 adapter:n=8 adaptformer:n=8 repadapter ssf norm partial1 bitfit:preset=mona lora:preset=mona,rank=4; do
    name=$(echo "$adapter" | tr ':=,' '___')
    run 0 tune --model base --data shapes/flat --adapter "$adapter" --out "t_$name" --epochs 1 --batch 12 --lr 5e-3 --no-decay cls \
        --warmup-multiply --json --quiet
    json top1:real trainable:int
    run 0 eval --model base --adapter "t_$name" --data shapes/flat --json
    adapted=$(value loss)
    run 0 merge --model base --adapter "t_$name" --out "m_$name.safetensors" --json
    json max_abs_diff:real max_abs_logit:real merged:list out:text
    run 0 eval --model "m_$name.safetensors" --data shapes/flat --json
    same "loss after merging $adapter, six digits" "$(value loss | cut -c1-8)" "$(echo "$adapted" | cut -c1-8)"
done

# A module that no weight can take in: said when it is merged, listed in the file, and every command reads the file.
run 0 merge --model base --adapter t_mona_n_8 --out again.safetensors
says "adapter 'mona' is no linear change of a layer" "fettle.fused"
cmp -s again.safetensors m_mona_n_8.safetensors || complain "the same merge gives another file"
run 0 inspect m_mona_n_8.safetensors --all
prints "fettle.fused" "mona:at=attn+mlp,n=8" "layers.0.blocks.1.my_module_2.fused1.conv.weight" "where adapters can insert modules"
run 0 inspect m_ssf.safetensors
grep -q fettle.fused out && complain "ssf merges into weights, and its file names a fused module"
run 0 predict --model m_mona_n_8.safetensors shapes/flat/val/disc/0000.png
run 0 embed --model m_mona_n_8.safetensors --data shapes/flat --out features.safetensors
run 0 plan --model m_mona_n_8.safetensors --adapter hydra --batch 4
run 0 convert m_mona_n_8.safetensors converted.safetensors
run 0 eval --model converted.safetensors --data shapes/flat --json
converted=$(value loss)
run 0 eval --model m_mona_n_8.safetensors --data shapes/flat --json
same "loss after converting" "$(value loss)" "$converted"

# On top of it: another module, in weights and in fused form; the adapter of the base does not fit.
for adapter in hydra mona:n=4; do
    name=$(echo "$adapter" | tr ':=,' '___')
    run 0 tune --model m_mona_n_8.safetensors --data shapes/flat --adapter "$adapter" --out "u_$name" --epochs 1 --batch 12 --quiet
    run 0 eval --model m_mona_n_8.safetensors --adapter "u_$name" --data shapes/flat --json
    adapted=$(value loss)
    run 0 merge --model m_mona_n_8.safetensors --adapter "u_$name" --out "n_$name.safetensors" --quiet
    run 0 eval --model "n_$name.safetensors" --data shapes/flat --json
    same "loss after merging $adapter on top, six digits" "$(value loss | cut -c1-8)" "$(echo "$adapted" | cut -c1-8)"
done
run 0 inspect n_mona_n_4.safetensors --all
prints "my_module_1.fused1.conv.weight" "my_module_1.fused2.conv.weight"
run 1 eval --model m_mona_n_8.safetensors --adapter t_adapter_n_8 --data shapes/flat
says "another model"
one_sentence

# What does not fit is told before anything trains.
run 1 tune --model base --data shapes/flat --adapter mona:at=layers.7.attn --out nothing
says "at=layers.7.attn matches no place" "layers.0.blocks.0.attn"
[ ! -e nothing ] || complain "a refused run left a folder"
run 2 tune --model base --data shapes/flat --adapter mona --no-decay most --out nothing
says "none 1d norm+bias cls det seg"
run 2 tune --model base --data shapes/flat --adapter mona --no-decay cls --no-decay-1d --out nothing
says "not both"
finish
