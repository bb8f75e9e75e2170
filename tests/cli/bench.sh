#!/bin/sh
# Measuring: the network of --arch, and the studies that set workloads side by side, each in a process of its own.
# bench.sh HARNESS FETTLE JSON_CHECK
FETTLE=$2 JSON_CHECK=$3
. "$1"

net=quadranet:depths=1+1+1+1,dim=8,img=32,patch=2
run 0 bench model --arch $net,kernel=11 --batch 2 --steps 1 --json
json workload:text mode:text batch:int images_per_s:real peak_rss_mib:int planned_mib:int gflops_per_image:real
run 0 bench model --arch $net,kernel=3,dim=32 --batch 2 --steps 1 --mode infer
prints "model, infer, f32" "images/s"
for arch in "$net,mixer=conv,quadratic_channels=true" "$net,quadratic_channels=true" "$net,blocks=k3e2+k5e4+k7e2+k3e4"; do
    run 0 bench model --arch "$arch" --batch 1 --steps 1 --json
    json images_per_s:real
done
run 2 bench model
says "needs --arch"
one_sentence
run 2 bench vit-full --arch $net
says "--arch belongs to model"
one_sentence
run 2 bench model --arch quadranet36_xxz
says "the nearest is 'quadranet36_xxs'"
one_sentence
run 2 bench model --arch $net,classes=0
says "has no classes"
one_sentence
run 2 bench model --arch $net --size t
says "has no sizes"
run 2 bench hornet --size t
says "there are tiny small base"

# The memory table: more than the skip block's, attention and gates above the quadratic block, which is close to the plain one.
run 0 bench blocks --size 64 --batch 1 --warmup 1 --threads 1 --seed 3 --json --quiet
json mode:text batch:int threads:int beside:text cells:list
same "what the blocks are set beside" "$(value beside)" '"conv"'
cell() { tr '{}' '\n\n' <out | grep "\"name\": \"$1\"" | tr ',' '\n' | sed -n "s/^ *\"$2\": *//p"; }
for name in skip conv quadra swin hor; do
    for key in planned_mib peak_rss_mib median_s images_per_s gflops_per_image planned_ratio peak_ratio rate_ratio; do
        [ -n "$(cell $name $key)" ] || complain "cell $name has no $key"
    done
    # the plan is the whole process's, an estimate for code and tables included
    [ $(($(cell $name peak_rss_mib) * 10)) -ge $(($(cell $name planned_mib) * 9)) ] || complain "$name: the measured peak is far below the plan"
done
same "the plain block's ratio" "$(cell conv planned_ratio)" 1.0
[ "$(cell skip planned_mib)" -lt "$(cell conv planned_mib)" ] || complain "the block without a mixer needs as much as the plain one"
[ "$(cell quadra planned_mib)" -lt "$(cell swin planned_mib)" ] || complain "the quadratic block needs more than windowed attention"
[ "$(cell quadra peak_rss_mib)" -lt "$(cell hor peak_rss_mib)" ] || complain "the quadratic block peaks above the gated one: a cell hides another"

run 0 bench models --mode infer --batch 1 --steps 1 --threads 1
prints QuadraNet36 QuadraNet25 ConvNeXt HorNet Swin "ratio is to QuadraNet36"
[ "$(grep -c '^measuring ' err)" -eq 5 ] || complain "not five measurements told"

for study in blocks models; do
    run 2 bench $study --mode both
    says "neither train nor infer"
    one_sentence
    run 2 bench $study --batch 0
    says "--batch '0'"
    one_sentence
    run 2 bench $study --size 63
    says "--size '63' is none of:"
    one_sentence
    run 2 bench $study extra
    one_sentence
done
run 1 bench blocks --size 64 --batch 1 --memory 20M --quiet
says "memory budget is 20.0 MiB"
one_sentence
finish
