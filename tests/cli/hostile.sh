#!/bin/sh
# Bad input of every kind gets one clear sentence and the right status; nothing half-written stays behind.
# hostile.sh HARNESS FETTLE JSON_CHECK HOSTILE_PICTURES
FETTLE=$2 JSON_CHECK=$3 pictures=$4
. "$1"

"$pictures" . || exit 1
run 0 data synth --out shapes --per-class 6 --val-per-class 2
run 0 train --arch vit:dim=32,depth=1,heads=2,patch=8,img=32 --data shapes/flat --out base --epochs 1 --quiet
run 0 train --arch vit:dim=32,depth=1,heads=2,patch=8,img=32 --data shapes/flat --out other --epochs 1 --seed 7 --quiet
run 0 tune --model base --data shapes/sketch --adapter hydra --out tuned --epochs 1 --quiet

refused() { # STATUS TEXT ARGUMENT...
    want_status=$1 want_text=$2
    shift 2
    run "$want_status" "$@"
    says "$want_text"
    one_sentence
}
tune="tune --model base --epochs 1 --quiet"
flat="--data shapes/flat --adapter hydra"

# ---- models and adapters ----
refused 1 "neither model.safetensors nor adapter.safetensors" inspect shapes
refused 1 "No such file" eval --model nowhere.safetensors --data shapes/flat --quiet
refused 1 "PNG" eval --model one.png --data shapes/flat --quiet
refused 1 "has shape" eval --model base --arch vit:dim=64,depth=1,heads=2,patch=8,img=32 --data shapes/flat --quiet
refused 1 "missing from the checkpoint" eval --model base --arch vit:dim=32,depth=2,heads=2,patch=8,img=32 --data shapes/flat --quiet
run 0 embed --model base --data shapes/flat --out features.safetensors --quiet
refused 1 "belong to no architecture" eval --model features.safetensors --data shapes/flat --quiet
refused 1 "has 5 classes, but the head of none has 3 outputs" \
    eval --model none --arch vit:dim=32,depth=1,heads=2,patch=8,img=32,classes=3 --data shapes/flat --quiet
run 0 eval --model none --arch vit:dim=32,depth=1,heads=2,patch=8,img=32,classes=9 --data shapes/flat --quiet
says "5 classes are taken for the first of the model's 9 outputs"
refused 1 "no model.safetensors" eval --model tuned --data shapes/flat --quiet
refused 1 "trained on another model" eval --model other --adapter tuned --data shapes/flat --quiet
says "base" "other"
refused 1 "no adapter of fettle" merge --model base --adapter base/model.safetensors --out no.safetensors --quiet
refused 2 "unknown architecture 'vit_bse_patch16_224'; the nearest is 'vit_base_patch16_224'" \
    tune --model none --arch vit_bse_patch16_224 --data shapes/flat --adapter full --out no
refused 2 "divided" tune --model none --arch vit:dim=30,heads=4,depth=1,patch=8,img=32 --data shapes/flat --adapter full --out no
for spec in lora:rank=0 lora:rank=x hydra:dropout=1 hydra:scale=nan; do
    refused 2 "${spec#*:}" tune --model base --data shapes/flat --adapter $spec --out no --quiet
done
refused 2 "the nearest is 'hydra'" tune --model base --data shapes/flat --adapter hydro --out no --quiet
refused 2 "the nearest is 'rank'" tune --model base --data shapes/flat --adapter lora:rnk=2 --out no --quiet
refused 1 "matches no linear layer" tune --model base --data shapes/flat --adapter lora:at=nothing --out no --quiet

# ---- damaged files: cut, and one bit wrong in the length, the header and the values ----
flip() { # IN OUT PLACE: the byte there changes
    cp "$1" "$2"
    old=$(od -An -tu1 -j "$3" -N 1 "$1" | tr -d ' ')
    # shellcheck disable=SC2059
    printf "\\$(printf %o $((old ^ 4)))" | dd of="$2" bs=1 seek="$3" conv=notrunc 2>/dev/null
}
size=$(wc -c <base/model.safetensors)
for keep in 0 4 8 100 $((size / 2)) $((size - 1)); do
    head -c "$keep" base/model.safetensors >cut.safetensors
    refused 1 "cut.safetensors" eval --model cut.safetensors --data shapes/flat --quiet
done
for place in 0 6 9 40 200 $((size / 2)) $((size - 2)); do
    flip base/model.safetensors flipped.safetensors "$place"
    refused 1 "flipped.safetensors" eval --model flipped.safetensors --data shapes/flat --quiet
done
size=$(wc -c <tuned/adapter.safetensors)
for place in 2 50 $((size / 2)) $((size - 2)); do
    flip tuned/adapter.safetensors flipped.safetensors "$place"
    refused 1 "flipped.safetensors" merge --model base --adapter flipped.safetensors --out no.safetensors --quiet
done

# ---- data ----
mkdir -p empty one_class/train/disc hole/train/disc hole/train/ring hole/train/void hole/val/disc hole/val/ring
refused 1 "no images" $tune --data empty --adapter hydra --out no
cp shapes/flat/train/disc/*.png one_class/train/disc
refused 1 "only one class" tune --model base --data one_class --adapter hydra --out no --quiet
for class in disc ring; do
    cp shapes/flat/train/$class/*.png hole/train/$class
    cp shapes/flat/val/$class/*.png hole/val/$class
done
run 0 tune --model base --data hole --adapter linear --out hole_run --epochs 1 --quiet
says "empty class folder" "void"
run 3 data check hole
says "1 empty classes"
mkdir -p strange/val/cat strange/val/dog
cp shapes/flat/val/disc/*.png strange/val/cat
cp shapes/flat/val/ring/*.png strange/val/dog
refused 1 "cat" eval --model base --data strange --quiet
says "--classes keeps some"
refused 1 "'test' holds no images" eval --model base --data shapes/flat --split test --quiet
refused 2 "none of train, val and test" eval --model base --data shapes/flat --split tset --quiet
refused 1 "no such folder" eval --model base --data nowhere --quiet
printf 'path,label\nshapes/flat/val/disc/0000.png\n' >short.csv
refused 1 "short.csv" eval --model base --data short.csv --quiet

# ---- pictures ----
run 0 predict --model base one.png one.ppm
same "lines" "$(wc -l <out)" 2
refused 1 "large.png" predict --model base large.png
says "20000 x 20000" "200000000"
refused 1 "bomb.png" predict --model base bomb.png
printf 'P6\n20000 20000\n255\n' >large.ppm
refused 1 "large.ppm" predict --model base large.ppm
printf 'GIF89a' >pretends.png
refused 1 "not a JPEG, PNG, WebP" predict --model base pretends.png
: >nothing.jpg
refused 1 "nothing.jpg" predict --model base nothing.jpg
refused 1 "absent.png" predict --model base absent.png
# Unreadable ones are named, counted and skipped in training and evaluation, and spoil a check.
cp -r shapes/flat spoilt
cp pretends.png spoilt/train/disc/zz.png
cp pretends.png spoilt/val/ring/zz.png
run 0 tune --model base --data spoilt --adapter linear --out spoilt_run --epochs 2 --json
says "warning: unreadable image skipped" "spoilt/train/disc/zz.png" "spoilt/val/ring/zz.png"
same "skipped in training" "$(value images_skipped)" 1
same "evaluated images" "$(value images)" 10
run 0 eval --model base --data spoilt --json
same "skipped in evaluation" "$(value images) $(value skipped)" "10 1"
run 3 data check spoilt --json
json unreadable:int findings:list
same "unreadable" "$(value unreadable)" 2

# ---- names ----
strange=$(printf 'with space\nand line \303\251 \001')
mkdir -p "$strange"
cp shapes/flat/val/disc/0000.png "$strange/a b.png"
run 0 predict --model base "$strange/a b.png"
same "lines" "$(wc -l <out)" 1
prints "with space\\nand line é \\x01/a b.png"
run 0 predict --model base "$strange/a b.png" --json
json predictions:list
refused 1 'and line é \x01/absent.png' predict --model base "$strange/absent.png"
cp -r shapes/flat/. "$strange/data"
run 0 tune --model base --data "$strange/data" --adapter linear --out "$strange/run" --epochs 1 --quiet
[ -s "$strange/run/adapter.safetensors" ] || complain "no run under a strange name"
run 0 eval --model base --adapter "$strange/run" --data "$strange/data" --quiet

# ---- memory, disk, folders ----
refused 1 "budget" $tune $flat --out no --memory 200K
[ ! -e no ] || complain "a refused run left its folder"
refused 1 "/proc/no" $tune $flat --out /proc/no
refused 1 "/proc/no" merge --model base --adapter tuned --out /proc/no.safetensors --quiet
refused 1 "one.ppm" $tune $flat --out one.ppm/run
mkdir there
refused 2 "there exists" $tune $flat --out there
small_disk() { # TEXT ARGUMENT...: with files of at most 4 KiB
    text=$1
    shift
    last="ulimit -f 8; fettle $*"
    status=0
    (
        ulimit -f 8
        "$FETTLE" "$@" >out 2>err </dev/null
    ) || status=$?
    same "status on a full disk" "$status" 1
    says "$text"
    one_sentence
}
small_disk "full.safetensors" merge --model base --adapter tuned --out full.safetensors --quiet
small_disk "full.safetensors" convert base/model.safetensors full.safetensors
small_disk "full/" $tune $flat --out full
[ ! -e full.safetensors ] || complain "a file stayed behind on a full disk"
same "temporary files left" "$(find . -name '.*.tmp' | wc -l)" 0

# ---- runs ----
refused 1 "no run to resume" tune --out nowhere --resume
refused 2 "exists" tune --model base --data shapes/flat --adapter hydra --out tuned
cp -r tuned moved
refused 1 "not that with which the run began" tune --out moved --resume --data shapes/flat --quiet
refused 1 "not that with which the run began" tune --out moved --resume --model other --quiet
run 0 tune --out moved --resume --lr 0.5
says "lr is left aside"
size=$(wc -c <moved/state.safetensors)
flip moved/state.safetensors wrong $((size / 2))
cp wrong moved/state.safetensors
refused 1 "state.safetensors" tune --out moved --resume --quiet
# shellcheck disable=SC2086
refused 1 "not finite at step" tune --model base --data shapes/flat --adapter full --out wild --lr 1e6 --optimizer sgd --batch 4 --warmup 0 --quiet
says "learning rate"
finish
