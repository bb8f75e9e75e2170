#!/bin/sh
# Re-identification as scripts use it: synthetic figures, training with and without a source, kills and resumes to the same bits, evaluation, search, and
# bad input. reid.sh HARNESS FETTLE JSON_CHECK
FETTLE=$2 JSON_CHECK=$3
. "$1"

net=resnet:block=basic,blocks=1+1+1+1,width=8,img=32x16
small="--model none --arch $net --batch 16 --threads 2 --quiet --k1 8 --k2 3"

# ---- synthetic figures ----
run 0 data synth --kind reid --out syn --identities 12 --size 16 --seed 3 --json
json images:int
same images 288 "$(value images)"
run 0 data synth --kind reid --out again --identities 12 --size 16 --seed 3 --threads 1
diff -r syn again >/dev/null || complain "the same seed gives other pictures"
run 0 data synth --kind reid --out other --identities 12 --size 16 --seed 4
cmp -s syn/target/train/00000/c1_000.png other/target/train/00000/c1_000.png && complain "another seed gives the same picture"
run 0 data synth --kind domains --out sites --classes 2 --per-class 2 --val-per-class 1 --size 16 --json
same "images of four domains" "$(value images)" 24
run 2 data synth --kind figures --out x
says "none of shapes, domains, reid"
run 2 data synth --kind reid --classes 3 --out x
says "--classes belongs to --kind shapes"

# ---- train, evaluate, search ----
# shellcheck disable=SC2086
run 0 reid train --data syn/target $small --epochs 3 --eval-step 1 --out usl --json
json map:real rank1:real rank5:real rank10:real queries:int gallery:int clusters:int outliers:int purity:real pair_f1:real
map=$(value map)
for file in run.json state.safetensors log.csv report.html model.safetensors best.safetensors; do
    [ -s "usl/$file" ] || complain "usl/$file is missing"
done
[ "$(wc -l <usl/log.csv)" -eq 4 ] || complain "log.csv has not a line an epoch"
grep -q "data:image/png;base64" usl/report.html || complain "the report shows no pictures"
grep -q "http" usl/report.html && complain "the report points to the network"
run 0 reid eval --model usl --data syn/target --json
json map:real rank1:real rank5:real rank10:real queries:int gallery:int
same mAP "$map" "$(value map)"
same queries 24 "$(value queries)"
run 0 reid eval --model usl --data syn/target --json --rerank
json map:real
run 0 reid search --model usl --gallery syn/target/gallery --top 3 syn/target/gallery/00007/c2_001.png
prints "syn/target/gallery/00007/c2_001.png"
# the root of what rounding leaves of 2 - 2 cos
grep -qE '^ +1  0\.00[01][0-9]  syn/target/gallery/00007/c2_001\.png$' out || complain "an image is not nearest to itself"
run 0 reid search --model usl --gallery syn/target/gallery --top 2 --json syn/target/query/00007/c2_000.png syn/target/query/00008/c1_000.png
json images:list
run 0 embed --model usl --data syn/target/train --out features.safetensors

# shellcheck disable=SC2086
run 0 reid train --data syn/target --source syn/source $small --epochs 1 --iters 3 --out uda --json
json map:real
run 0 reid eval --model uda --data syn/source --domain source --json
source=$(value map)
run 0 reid eval --model uda --data syn/source --domain target --json
[ "$source" != "$(value map)" ] || complain "--domain changes nothing"
for more in "--update mean" "--reference-order" "--norms shared" "--neck-bias frozen" "--pool gem" "--bn-group 4"; do
    rm -rf one
    # shellcheck disable=SC2086
    run 0 reid train --data syn/target --source syn/source $small --epochs 1 --iters 2 $more --out one
done
for more in "--labels clusters" "--labels instances" "--labels supervised" "--instances 0" "--select best"; do
    rm -rf one
    # shellcheck disable=SC2086
    run 0 reid train --data syn/target $small --epochs 1 --iters 2 $more --out one
done
# Any network can be the encoder; a norm of instances and GeM belong to residual ones.
for arch in vit:dim=32,depth=1,heads=2,patch=8,img=32 swin:dim=16,depths=1+1,heads=2+4,window=4,img=32 quadranet:depths=1+1+1+1,dim=8,img=32 \
    resnet_cifar:depth=8,img=32 resnet:block=bottleneck,blocks=1+1+1+1,width=8,img=32x16,ibn=a,pool=gem; do
    rm -rf one
    run 0 reid train --data syn/target --source syn/source --model none --arch $arch --batch 8 --k1 8 --k2 3 --threads 2 --quiet --epochs 1 --iters 1 --out one --json
    map=$(value map)
    run 0 reid eval --model one --data syn/target --json --quiet
    same "mAP of $arch" "$map" "$(value map)"
done
run 2 reid train --data syn/target --model none --arch vit:dim=32,depth=1,heads=2,patch=8,img=32 --pool gem --out x --quiet
says "has no choice of pooling"

run 0 bench jaccard --n 64 --dim 32 --steps 2 --profile --json
json workload:text mode:text dtype:text n:int dim:int threads:int median_s:real min_s:real images_per_s:real peak_rss_mib:int
same features 64 "$(value n)"
says "neighbourhoods"
run 0 bench jaccard --n 64 --dim 32 --steps 1
prints "64 of 32 values"

# ---- killed runs end as undisturbed ones ----
long="--data syn/target --source syn/source $small --epochs 4 --iters 12 --eval-step 2 --seed 5 --save-every 0.02"
# shellcheck disable=SC2086
run 0 reid train $long --out whole
kills=0
for delay in 0.3 0.5 0.7 0.9 1.1 1.3 1.6; do
    resume=
    [ -d killed ] && resume=--resume
    # shellcheck disable=SC2086
    timeout -s KILL $delay "$FETTLE" reid train $long --out killed $resume >/dev/null 2>err || kills=$((kills + 1))
done
resume=
[ -d killed ] && resume=--resume
# shellcheck disable=SC2086
run 0 reid train $long --out killed $resume
[ "$kills" -gt 0 ] || complain "nothing was killed"
for file in model.safetensors best.safetensors; do
    cmp -s "whole/$file" "killed/$file" || complain "$file differs after $kills kills"
done
tail -c 8192 whole/state.safetensors >a && tail -c 8192 killed/state.safetensors >b
cmp -s a b || complain "memory or labels differ after $kills kills"
cut -d, -f1-15 whole/log.csv >a && cut -d, -f1-15 killed/log.csv >b
cmp -s a b || complain "log.csv differs after $kills kills"
run 2 reid train --data syn/target --model none --arch $net --out whole
says "exists"
run 1 reid train --data syn/source --model none --arch $net --out nothing --resume
says "no run to resume"

# ---- bad input ----
mkdir -p one_image/a same/a same/b names/a none/train/a none/query/b none/gallery/a
cp syn/target/train/00000/c1_000.png one_image/a/c1.png
# shellcheck disable=SC2086
run 1 reid train --data one_image $small --out x
one_sentence
says "one training image alone"
for i in 1 2 3 4 5 6 7 8 9; do
    cp syn/target/train/00000/c1_000.png same/a/c${i}_1.png
    cp syn/target/train/00000/c1_000.png same/b/c${i}_1.png
done
# shellcheck disable=SC2086
run 0 reid train --data same $small --augment none --epochs 1 --iters 2 --out same_run --json
json map:real clusters:int
same "clusters of identical images" 1 "$(value clusters)"
# shellcheck disable=SC2086
run 0 reid train --data syn/target $small --min-samples 200 --epochs 1 --iters 2 --out outliers --json
same "clusters of outliers" 0 "$(value clusters)"
# shellcheck disable=SC2086
run 1 reid train --data syn/target $small --min-samples 200 --outliers drop --epochs 1 --out x
one_sentence
says "no image has a label"
rm -rf x
# shellcheck disable=SC2086
run 0 reid train --data syn/target --model none --arch $net --batch 16 --eps 0.97 --labels clusters --epochs 1 --iters 2 --out giant
says "one cluster holds all"
run 0 reid train --data syn/target --model none --arch $net --batch 16 --k1 500 --epochs 1 --iters 1 --out few
says "fewer than k1 = 500"
cp syn/target/train/00000/c1_000.png names/a/_1.png
run 1 reid train --data names --model none --arch $net --out x --quiet
one_sentence
says "_1.png" "does not begin with a camera"
mkdir -p market/bounding_box_train market/query market/bounding_box_test
cp syn/target/train/00000/c1_000.png market/bounding_box_train/photo.jpg
run 1 reid train --data market --format market1501 --model none --arch $net --out x --quiet
one_sentence
says "photo.jpg"
cp syn/target/train/00000/c1_000.png none/train/a/c1.png
cp syn/target/train/00000/c1_000.png none/query/b/c1.png
cp syn/target/train/00000/c1_000.png none/gallery/a/c2.png
run 1 reid eval --model usl --data none --quiet
one_sentence
says "match"
# One query without a match does not stop the others; it is counted.
cp -r syn/target mixed && mkdir mixed/query/stranger && cp syn/target/train/00000/c1_000.png mixed/query/stranger/c1.png
run 0 reid eval --model usl --data mixed --json
same "queries with a match" 24 "$(value queries)"
says "1 of 25 queries have no match"
# A picture that cannot be read is named, in training and in evaluation.
cp -r syn/target broken && printf 'no picture' >broken/train/00000/c1_000.png && printf 'no picture' >broken/gallery/00007/c1_000.png
# shellcheck disable=SC2086
run 1 reid train --data broken $small --out x
one_sentence
says "train/00000/c1_000.png"
run 1 reid eval --model usl --data broken --quiet
one_sentence
says "gallery/00007/c1_000.png"
# shellcheck disable=SC2086
run 0 reid train --data syn/target --source syn/target --model none --arch $net --batch 16 --threads 2 --k1 8 --k2 3 --epochs 1 --iters 1 --out twice
says "source and target are the same folder"
mkdir -p cars/image_train && cp syn/target/train/00000/c1_000.png cars/image_train/0001_c006_1.jpg
run 1 reid eval --model usl --data cars --format vehiclex --quiet
one_sentence
says "0 query and 0 gallery images (format vehiclex)"
mkdir -p msmt/train && for part in train val query gallery; do echo "0000/0000_000_16_0303morning_0015_0.jpg 0" >msmt/list_$part.txt; done
run 1 reid eval --model usl --data msmt --quiet
one_sentence
says "0000_000_16_0303morning_0015_0.jpg" "camera from 1 to 15"
# Weights that are not numbers (with the checksum under another name, or the file would count as damaged): the features of the first image are named.
size=$(wc -c <usl/model.safetensors)
sed 's/fettle\.checksum/fettle.checkers/' usl/model.safetensors | head -c $((size - 4096)) >nan.safetensors
head -c 4096 /dev/zero | tr '\0' '\377' >>nan.safetensors
run 1 reid eval --model nan.safetensors --data syn/target --quiet
one_sentence
says "its features are not finite"
run 1 reid search --model nan.safetensors --gallery syn/target/gallery --quiet syn/target/query/00007/c2_000.png
one_sentence
says "its features are not finite"
# shellcheck disable=SC2086
run 1 reid train --data syn/target --model nan.safetensors --batch 16 --threads 2 --quiet --k1 8 --k2 3 --out x
one_sentence
says "its features are not finite"
rm -rf x
run 2 reid train --data syn/target --model none --arch $net --eps 0.01 --out x
says "eps 0.01 with eps-gap 0.02"
run 2 reid train --data syn/target --model none --arch $net --temp 0 --out x
says "temp"
run 2 reid train --data syn/target --model none --arch $net --momentum 1 --out x
says "momentum"
run 2 reid train --data syn/target $small --eps 0.99 --out x
says "eps 0.99"
run 2 reid train --data syn/target --model none --arch $net --k1 8 --k2 9 --out x
says "k2 9 is above k1 8"
run 2 reid train --data syn/target $small --labels seelf --out x
says "none of: self-paced clusters instances supervised"
for group in 1 3 32; do
    # shellcheck disable=SC2086
    run 2 reid train --data syn/target $small --bn-group $group --out x
    says "bn-group $group: groups of two images or more that divide the batch of 16"
done
# shellcheck disable=SC2086
run 2 reid train --data syn/target $small --temperature 1 --out x
says "temp"
run 2 reid train --data syn/target $small --augment mixup --out x
says "mixes images"
run 2 reid eval --model usl --data syn/target --domain other
says "neither source nor target"
run 1 reid search --model usl --gallery nowhere a.png
says "no such folder"
[ -e x ] && complain "a refused run left a folder"
finish
