#!/bin/sh
# Augmentation through the program: refusals that name place and nearest word, the contact sheet, training on mixed batches.
# augment.sh HARNESS FETTLE JSON_CHECK RECIPES
FETTLE=$2 JSON_CHECK=$3
export FETTLE_RECIPES=$4
. "$1"

run 0 data synth --out shapes --domains 1 --classes 3 --per-class 9 --val-per-class 3 --size 32
data=$(echo shapes/*)

# refused SPEC TEXT: with status 2, before anything is opened
refused() {
    run 2 data preview --data none --out sheet.png --augment "$1"
    says "augment '$1': at character" "$2"
}
refused rcc "character 1: unknown word 'rcc'; the nearest is 'rrc'"
refused rrc+flip+jiter "character 10: unknown word 'jiter'; the nearest is 'jitter'"
refused rrc:scal=0.5-1 "character 5: 'rrc' has no option 'scal'; the nearest is 'scale'"
refused rrc:scale=1-0.5 "reversed"
refused rrc:scale=0-1 "0 is not in"
refused rrc:ratio=nan "not numbers"
refused flip+rrc "comes first"
refused rrc+crop "comes first"
refused flip=1.5 "1.5 is not in 0..1"
refused flip=0.5=1 "not a number"
refused flip,p=1 "begin with ':' or '='"
refused flip++gray "a step is missing"
refused "flip+" "a step is missing"
refused jitter=0.4-0.4-0.4-0.6 "hue"
refused jitter=0.4 "four numbers"
refused blur:kernel=4 "not odd"
refused blur:sigma=0-1 "0 is not in"
refused crop=-1 "-1 is not in"
refused posterize:bits=9 "9 is not in 0..8"
refused rand-m11 "above 10"
refused rand-m9-x3 "section 'x3'"
refused rand-bins:m=31 "not one of the 31 bins"
refused erase:mode=noise "none of: const color pixel"
refused mixup=-1 "-1 is not in"
refused light=3 "takes no value"
[ ! -e sheet.png ] || complain "a sheet was written"
# what depends on the size is refused by that size
run 2 data preview --data "$data" --out sheet.png --image 16 --augment blur:kernel=33
says "too wide for 16 x 16"

run 0 data preview --data "$data" --out sheet.png --image 32 --augment strong+rand-m9-mstd0.5-inc0+cutmix=1 --images 3 --count 2
prints "row 1" "row 3" "mixed in, draw by draw:" "396 x 405" "in sheet.png"
says "inc0 leaves increasing severities off"
[ "$(head -c 8 sheet.png | od -An -tx1 | tr -d ' \n')" = 89504e470d0a1a0a ] || complain "the sheet is no PNG"
cp sheet.png first.png
run 0 data preview --data "$data" --out sheet.png --image 32 --augment strong+rand-m9-mstd0.5-inc0+cutmix=1 --images 3 --count 2 \
    --threads 1 --json
json images:int draws:int rows:list out:text
cmp -s sheet.png first.png || complain "another thread count draws another sheet"
run 0 data preview --data "$data" --out sheet.png --image 32 --augment strong+rand-m9-mstd0.5-inc0+cutmix=1 --images 3 --count 2 \
    --seed 1
cmp -s sheet.png first.png && complain "another seed draws the same sheet"

# a batch of 5 out of 27 pictures: odd, and an incomplete last one
run 0 train --arch vit:dim=32,depth=1,heads=2,patch=8,img=32 --data "$data" --out run --epochs 2 --batch 5 --smoothing 0.1 \
    --augment crop+flip+erase=0.5+mixup=0.8+cutmix=1 --quiet
grep -q '"augment": *"crop+flip+erase=0.5+mixup=0.8+cutmix=1"' run/run.json || complain "run.json does not record the augmentation"
run 0 train --arch vit:dim=32,depth=1,heads=2,patch=8,img=32 --data "$data" --out part --epochs 2 --batch 5 --smoothing 0.1 \
    --augment crop+flip+erase=0.5+mixup=0.8+cutmix=1 --quiet --steps 3
run 0 eval --model run --data "$data"

# how images are read is for every command that reads them
run 1 predict --model run --max-pixels 10 "$data"/val/*/0000.png
says "limit of 10"
run 0 predict --model run --no-exif "$data"/val/*/0000.png
finish
