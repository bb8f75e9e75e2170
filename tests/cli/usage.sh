#!/bin/sh
# Usage: help names every flag, wrong use ends with 2 and one sentence that names the nearest right word.
# usage.sh HARNESS FETTLE JSON_CHECK RECIPES
FETTLE=$2 JSON_CHECK=$3
export FETTLE_RECIPES=$4
. "$1"

run 2
says "usage: fettle COMMAND"
run 0 --help
for c in tune train eval predict embed merge plan inspect convert list "data synth" "data check" "data stats" "data preview" bench "bench blocks" "bench models"; do
    prints "  $c "
done
run 0 --version
prints "fettle 0." "cpu "
run 2 tnue
says "unknown command 'tnue'; the nearest is 'tune'"
run 2 zzzzzzzz
says "unknown command 'zzzzzzzz'"
run 2 data
says "'data' needs a second word" "data check"
run 2 data sinth
says "the nearest is 'data synth'"

# help_of COMMAND FLAG...: --help shows each flag, an example, and no flag that the parser does not know.
common="threads seed memory dtype json quiet help"
model="model arch weights mean std interpolation crop-pct image"
decoding="max-pixels no-exif"
reading="val-fraction split-seed classes class-order max-pixels no-exif"
training="epochs steps batch lr wd optimizer momentum nesterov amsgrad no-decay-1d no-decay schedule warmup lr-min warmup-start
    warmup-multiply warmup-first
    schedule-epochs schedule-by-epoch schedule-lag every gamma clip ema smoothing drop-path augment drop-last eval-every save-every
    check-finite recipe"
help_of() {
    command=$1
    shift
    # shellcheck disable=SC2086
    run 0 $command --help
    prints "usage: fettle $command" "example:" "fettle $command"
    # shellcheck disable=SC2048
    for flag in $* $common; do
        grep -qE "^  --$flag( |\$)" out || complain "help of $command lacks --$flag"
    done
    known=$(printf '%s\n' $* $common | sort -u | wc -l)
    shown=$(grep -c '^  --' out)
    [ "$known" -eq "$shown" ] || complain "help of $command shows $shown flags, $known are tested"
    grep -qE '^  --[a-z0-9-]+ .*(\[.+\]|\(required\))$' out || complain "help of $command shows no defaults"
    [ "$(grep -cE '^  --.*(\[.+\]|\(required\))$' out)" -eq "$shown" ] || complain "a flag of $command shows no default"
}
help_of tune $model data adapter out resume $training $reading
help_of train $model data out resume $training $reading
help_of eval $model data adapter split domains batch tta format fold $reading
help_of predict $model adapter $decoding
help_of embed $model data adapter out $reading
help_of merge $model adapter out check tolerance $decoding force $decoding
help_of plan $model adapter data batch mode steps optimizer clip drop-path ema augment recipe
help_of inspect arch all
help_of convert force weights peft model
help_of list
help_of "data synth" out classes domains per-class val-per-class size first-class kind identities cameras per-camera
help_of "reid train" data source format source-format model out resume epochs iters batch instances image lr wd lr-step lr-gamma eval-step select augment \
    save-every check-finite eps eps-gap k1 k2 min-samples temp momentum update reference-order neck-bias norms bn-group pool last-stride labels outliers \
    arch mean std interpolation $decoding
help_of "reid eval" $model data format test-size rerank domain $decoding
help_of "reid search" $model gallery top domain $decoding
help_of "nas profile" out arch repeats check
help_of "nas search" data out resume profile foreign latency flops budget arch space gates objective log-a log-b lambda search-warmup search-epochs \
    search-batch search-optimizer search-lr search-warmup-lr search-wd search-momentum search-clip search-smoothing search-augment alpha-lr \
    alpha-every alpha-share mean std interpolation crop-pct image $training $reading
help_of "nas derive" out
help_of "data preview" data out augment image interpolation crop-pct images count $reading
help_of "data check" data $reading
help_of "data stats" data size $reading
help_of bench batch steps warmup mode size arch n dim profile
help_of "bench blocks" batch steps warmup mode size
help_of "bench models" batch steps warmup mode size
help_of meta data out resume method meta-batch context experts format fold stage holdout epochs batch lr episodes support query inner-lr inner-steps order outer-lr lambda hidden projection target tau head-norm view1 view2 $model $reading
help_of adapt format fold images data out domains method adapt count inner-lr inner-steps prior shuffle-domains $model $reading

usage() { # TEXT ARGUMENT...
    text=$1
    shift
    run 2 "$@"
    says "$text"
    one_sentence
}
tune="tune --model none --arch vit:dim=32,depth=1,heads=2,patch=8,img=32 --data nowhere --adapter hydra --out run"
usage "unknown flag --epocs; the nearest is --epochs" tune --epocs 3
usage "unknown flag --zzzzzzzzzz" tune --zzzzzzzzzz
usage "--lr needs a value" tune --lr
usage "--lr needs a value" tune --lr --batch 3
usage "--batch is given twice" tune --batch 3 --batch 4
usage "--resume is a switch" tune --resume=7
usage "flags begin with --" tune -x
usage "--model is needed" tune
usage "--data is needed" tune --model m
usage "one word too many" tune --model m --data d --adapter a --out o extra
usage "IMAGE... is needed" predict --model m
usage "IN OUT is needed" convert one
usage "none of: adapters models workloads recipes" list nothing
usage "neither train nor infer" bench vit-hydra --mode both
usage "the nearest is vit-hydra" bench vit-hydro
usage "belong to jaccard" bench vit-hydra --n 64
usage "belong to jaccard" bench r50-spcl --dim 64
usage "has no batches" bench jaccard --batch 8
usage "is part of training" bench jaccard --mode infer
usage "is a training step" bench r50-spcl --mode infer
usage "has no sizes" bench jaccard --size xxs
usage "n" bench jaccard --n 15
usage "--threads '0'" list adapters --threads 0
usage "--dtype 'bf16'" list adapters --dtype bf16
usage "--tolerance 'x'" merge --model m --adapter a --out o --tolerance x
# shellcheck disable=SC2086
{
    usage "batch '0'" $tune --batch 0
    usage "batch 'many'" $tune --batch many
    usage "lr 'nan'" $tune --lr nan
    usage "lr '-1'" $tune --lr -1
    usage "lr 'inf'" $tune --lr inf
    usage "epochs '0'" $tune --epochs 0
    usage "steps '0'" $tune --steps 0
    usage "schedule 'cosin'" $tune --schedule cosin
    usage "augment 'some': at character 1: unknown word 'some'" $tune --augment some
    usage "memory '12Q'" $tune --memory 12Q
    usage "drop-path '1'" $tune --drop-path 1
    usage "mean '1,2'" $tune --mean 1,2
    usage "std" $tune --std 1,0,1
    usage "no such recipe" $tune --recipe nowhere
    usage "schedule-lag needs" $tune --schedule-lag
}

# Recipes: names of flags, errors with their line, the command line wins.
printf 'epochs: 3\nbatsh: 4\n' >wrong.yaml
usage "wrong.yaml:2: unknown option 'batsh'; the nearest is 'batch'" tune --recipe wrong.yaml --out o
printf 'lr: fast\n' >wrong.yaml
usage "wrong.yaml:1: lr 'fast'" tune --recipe wrong.yaml --out o
printf 'lr: 1\nlr: 2\n' >wrong.yaml
run 1 tune --recipe wrong.yaml --out o
one_sentence
run 0 list recipes
prints vtab1k/cifar vtab1k/smallnorb_ele elevater default
same "recipes of VTAB-1k" "$(grep -c '^vtab1k/' out)" 19
for recipe in default elevater $(cut -d' ' -f1 out | grep vtab1k); do
    run 1 tune --model none --arch vit:dim=32,depth=1,heads=2,patch=16,img=224 --data nowhere --recipe "$recipe" --out run
    says "nowhere: no such folder" # so every key of the recipe was taken
done

# Lists and JSON.
for what in adapters models workloads recipes; do
    run 0 list $what --json
    json "$what:list"
done
run 0 list adapters
prints "hydra: " "rank" "preset=vtab" "lora: " "seqlora: " "bitfit: " "linear: " "full: "
run 0 list models
prints vit_base_patch16_224 vit_tiny_patch16_224
run 0 list workloads
prints vit-hydra vit-full
if [ -w /dev/full ]; then
    last="fettle list adapters >/dev/full"
    status=0
    "$FETTLE" list adapters >/dev/full 2>err || status=$?
    : >out
    same "status when the output cannot be written" "$status" 1
    one_sentence
fi
finish
