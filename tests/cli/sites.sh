#!/bin/sh
# Known sets of sites in small folders of their layout, made here: which pictures belong to which split, site and group; what a wrong folder says;
# training, adaptation and measures on them, numbers and bands included. sites.sh HARNESS FETTLE JSON_CHECK MAKE_BANDS
FETTLE=$2 JSON_CHECK=$3 BANDS=$4
. "$1"

run 0 data synth --out made --domains 4 --classes 2 --per-class 8 --val-per-class 1 --quiet
picture() { # NUMBER of the class, STYLE, WHERE
    shape=$(ls made/flat/train | sed -n "$(($1 + 1))p")
    mkdir -p "$(dirname "$3")"
    number=$((number % 8))
    cp "made/$2/train/$shape/000$number.png" "$3"
    number=$((number + 1))
}
number=0
net="--model none --arch resnet_cifar:depth=8,width=8,img=32,classes=2"
quick="--batch 4 --episodes 2 --support 1 --query 1 --hidden 16 --projection 8 --inner-lr 0.05"
fast="$quick --epochs 1"

# ---- iWildCam: all splits lie in train/
mkdir -p iwildcam/train
echo 'split,location_remapped,location,sequence_remapped,datetime,y,filename' >iwildcam/metadata.csv
row=0
for split in train train train train train train train train val val test test test test id_val id_test; do
    picture $((row % 2)) flat iwildcam/train/$row.png
    place=$((row / 4))
    echo "$split,$place,1$place,$row,2010-01-01 00:00:00.000,$((row % 2 + 9)),$row.png" >>iwildcam/metadata.csv
    row=$((row + 1))
done
# shellcheck disable=SC2086
run 0 meta --data iwildcam $net $fast --out wild --json
json top1:real macro_f1:real worst:real images:int
same "pictures of val" "$(value images)" 2
run 0 adapt --model wild --data iwildcam --out wild_sites --count 4 --json
prints '"domain": "2"' '"images": 2' '"domain": "3"' # of the test split alone
grep -q '"domain": "0"' out && complain "a site of the training was adapted"
json macro_f1_before:real macro_f1_after:real worst_before:real worst_group_after:text domains:list
run 0 eval --model wild --data iwildcam --split test --json
same "pictures of test" "$(value images)" 4
json worst:real worst_group:text groups:int macro_f1:real
run 0 eval --model wild --data iwildcam --split test --domains 3 --json
same "pictures of site 3" "$(value images)" 2
run 0 eval --model wild --adapter wild_sites/3.safetensors --data iwildcam --split test --domains 3
prints "worst group"
run 0 eval --model wild --data iwildcam --split test --domains 3 --tta tent --json
same "pictures of site 3 while adapting" "$(value images)" 2
run 2 eval --model wild --data iwildcam --split test --domains 17
says "no images of the domains '17'"
run 0 inspect wild/model.safetensors
run 0 eval --model wild --data iwildcam --split val
says "official splits" "2 rows belong to none"

# ---- Camelyon17: center 1 validates, center 2 tests
mkdir camelyon
echo ',patient,node,x_coord,y_coord,tumor,slide,center,split' >camelyon/metadata.csv
row=0
for center in 0 0 0 0 3 3 3 3 1 1 2 2; do
    picture $((row % 2)) sketch "camelyon/patches/patient_00$center""_node_1/patch_patient_00$center""_node_1_x_$row""_y_7.png"
    echo "$row,00$center,1,$row,7,$((row % 2)),0,$center,0" >>camelyon/metadata.csv
    row=$((row + 1))
done
echo "$row,004,1,$row,7,1,0,4,1" >>camelyon/metadata.csv
# shellcheck disable=SC2086
run 0 meta --data camelyon $net --epochs 1 --batch 4 --method erm --out slides1 --json
same "pictures of center 1" "$(value images)" 2
says "12 pictures of 4 domains" "1 rows belong to none"
run 0 adapt --model slides1 --data camelyon --out slide_sites --method bn --json
prints '"domain": "center2"'

# ---- RxRx1: site 2 of training wells is left out; pictures by their own mean and deviation
mkdir rxrx
echo 'site_id,well_id,cell_type,dataset,experiment,plate,well,site,sirna_id' >rxrx/metadata.csv
row=0
for split in train train train train train train train train test test; do
    site=$((row % 4 / 2 + 1))
    picture $((row % 2)) textured "rxrx/images/HEPG2-0$((row / 4))/Plate1/B$row""_s$site.png"
    echo "x,y,HEPG2,$split,HEPG2-0$((row / 4)),1,B$row,$site,$((row % 2 + 9))" >>rxrx/metadata.csv
    row=$((row + 1))
done
# shellcheck disable=SC2086
run 0 meta --data rxrx $net --epochs 1 --batch 2 --method erm --val-fraction 0.5 --out cells
says "4 rows belong to none"
grep -q standardize cells/model.safetensors || complain "the model does not record how its pictures are seen"
run 0 adapt --model cells --data rxrx --out cell_sites --method bn --json
prints '"domain": "HEPG2-02"'

# ---- FMoW: a year and a region are a site, regions are judged
mkdir fmow
printf 'name,alpha-3,region\nFrance,FRA,Europe\nKenya,KEN,Africa\n' >fmow/country_code_mapping.csv
echo 'split,img_path,country_code,category,visible,timestamp' >fmow/rgb_metadata.csv
row=0
for line in train,FRA,2004 train,KEN,2004 train,FRA,2005 train,KEN,2005 seq,FRA,2005 train,FRA,2004 train,KEN,2004 train,FRA,2005 \
    val,KEN,2014 val,FRA,2014 val,FRA,2005 test,FRA,2016 test,FRA,2017 test,KEN,2016 test,ZZZ,2016 test,KEN,2017 train,FRA,2016; do
    [ "${line%%,*}" = seq ] || picture $((row % 2)) flat fmow/images/rgb_img_$row.png
    kind=$([ $((row % 2)) -eq 0 ] && echo airport || echo zoo)
    echo "${line%%,*},x,$(echo $line | cut -d, -f2),$kind,1,${line##*,}-03-29T08:12:02Z" >>fmow/rgb_metadata.csv
    row=$((row + 1))
done
# shellcheck disable=SC2086
run 0 meta --data fmow $net --epochs 1 --batch 4 --method erm --out earth --json
same "pictures of the validation period" "$(value images)" 2
run 0 adapt --model earth --data fmow --out earth_sites --method bn --json
prints '"domain": "2016_Other"' '"domain": "2017_Africa"' '"images": 1'
grep -q '"worst_group_after": "\(Europe\|Africa\)"' out || complain "the worst region is none of the two"
run 0 eval --model earth --data fmow --split test --json
same "regions" "$(value groups)" 2
same "pictures of the test period" "$(value images)" 5

# ---- PovertyMap: numbers, eight bands
mkdir -p poverty/images
echo 'lat,lon,wealthpooled,country,year,urban,nl_mean,nl_center,households' >poverty/dhs_metadata.csv
row=0
for country in cameroon cameroon cameroon cameroon kenya kenya kenya kenya benin benin angola angola angola angola angola angola; do
    wealth=$(awk -v r=$row 'BEGIN { print (r * 7 % 5) / 2 - 1 }')
    "$BANDS" poverty/images/landsat_poverty_img_$row.npz "$wealth"
    echo "1,2,$wealth,$country,2010,$([ $((row / 2 % 2)) -eq 0 ] && echo True || echo False),0,0,9" >>poverty/dhs_metadata.csv
    row=$((row + 1))
done
bands="--model none --arch resnet_cifar:depth=8,width=8,img=16,classes=1,in_channels=8"
# shellcheck disable=SC2086
run 0 meta --data poverty $bands $quick --epochs 12 --lr 1e-2 --out wealth --json
json joint_loss:real outer_loss:real images:int
same "pictures of the countries that validate" "$(value images)" 2
says "split_A.csv"
run 0 adapt --model wealth --data poverty --out wealth_sites --count 2 --json
prints '"domain": "angola-rural"' '"domain": "angola-urban"'
grep -q '"worst_group_after": "\(urban\|rural\)"' out || complain "the worst of urban and rural is not told"
run 0 eval --model wealth --data poverty --split test --json
json r:real worst:real worst_group:text groups:int loss:real
same "groups" "$(value groups)" 2
awk -v r="$(value r)" 'BEGIN { exit !(r > 0.5) }' || complain "what every band shows is not learned: r $(value r)"
run 0 eval --model wealth --adapter wealth_sites/angola-urban.safetensors --data poverty --split test --domains angola-urban
prints "correlation r"
for method in erm arm-bn arm-ll meta-dmoe; do
    more=
    case $method in arm-*) more="--support 2" ;; meta-dmoe) more="--support 1 --query 1 --episodes 2" ;; esac
    case $method in arm-*) ;; *) more="$more --batch 2" ;; esac
    # shellcheck disable=SC2086
    run 0 meta --data poverty $bands --epochs 1 --method $method $more --out "wealth_$method" --quiet
    [ $method = erm ] || run 0 adapt --model "wealth_$method" --data poverty --out "wealth_d_$method" --count 2 --quiet
done
printf 'row,split\n0,id_val\n1,id_test\n2,train\n' >poverty/split_A.csv
# shellcheck disable=SC2086
run 0 meta --data poverty $bands --epochs 1 --batch 2 --method erm --out held
says "14 pictures of 6 domains"
# shellcheck disable=SC2086
run 0 meta --data poverty $bands --epochs 1 --batch 2 --method erm --fold B --out fold
run 2 meta --data poverty $bands --method erm --fold F --out x
says "A, B, C, D, E"
"$BANDS" poverty/images/landsat_poverty_img_10.npz 0 small
run 1 eval --model wealth --data poverty --split test
says "landsat_poverty_img_10.npz" "[8, 8, 8]"
"$BANDS" poverty/images/landsat_poverty_img_10.npz 0 broken
run 1 eval --model wealth --data poverty --split test
says "not finite"
run 1 eval --model wild --data poverty --split test
says "numbers"

# ---- DomainNet: lists
for domain in clipart real sketch; do
    for kind in train test; do
        row=0
        : >"domainnet_$domain"
        for class in zebra apple; do
            for i in 1 2 3; do
                [ -d domainnet ] || mkdir domainnet
                picture $row flat "domainnet/$domain/$class/$kind$i.png"
                echo "$domain/$class/$kind$i.png $((1 - row))" >>"domainnet/${domain}_$kind.txt"
            done
            row=$((row + 1))
        done
    done
done
# shellcheck disable=SC2086
run 0 meta --data domainnet $net $fast --holdout sketch --val-fraction 0.34 --out draw --json
run 0 adapt --model draw --data domainnet --out draw_sites --count 3 --json
prints '"domain": "sketch"' '"images": 6' # the official test list
grep -q '"domain": "real"' out && complain "a known domain was adapted"

# ---- plain CSV with numbers
echo 'path,target,domain,split' >numbers.csv
for i in 0 1 2 3 4 5 6 7; do
    echo "made/flat/train/$(ls made/flat/train | head -n 1)/000$i.png,$i.5,d$((i % 2)),$([ $i -lt 6 ] && echo train || echo val)" >>numbers.csv
done
# shellcheck disable=SC2086
run 0 meta --data numbers.csv --model none --arch resnet_cifar:depth=8,width=8,img=32,classes=1 $fast --out plain --json
same "pictures of val" "$(value images)" 2
run 1 tune --model none --arch resnet_cifar:depth=8,width=8,img=32 --adapter linear --data numbers.csv --out x
says "numbers"

# ---- what a wrong folder says
mkdir wrong
run 1 meta --data wrong $net --format iwildcam --out x
says "wrong/metadata.csv" "missing" "location_remapped"
echo 'split,filename,y' >wrong/metadata.csv
run 1 meta --data wrong $net --format iwildcam --out x
says "no column 'location_remapped'"
printf 'split,filename,y,location_remapped\ntrian,a.jpg,1,2\n' >wrong/metadata.csv
run 1 meta --data wrong $net --out x
says "line 2" "'trian'" "format iwildcam"
printf 'split,filename,y,location_remapped\ntrain,a.jpg,1,2\n' >wrong/metadata.csv
run 1 meta --data wrong $net --out x
says "none of its 1 files is there" "wrong/train/a.jpg"
rm fmow/country_code_mapping.csv
run 1 meta --data fmow $net --out x
says "country_code_mapping.csv" "missing"
sed -i 's/angola/atlantis/' poverty/dhs_metadata.csv
run 1 meta --data poverty $bands --out x
says "atlantis" "none of the 23"
echo 'clipart/zebra' >domainnet/clipart_train.txt
run 1 meta --data domainnet $net --out x
says "clipart_train.txt: line 1" "domain/class/file label"
run 1 meta --data wrong $net --format domainnet --out x
says "no column 'image_path'"
run 2 meta --data made $net --format imagenet --out x
says "povertymap"
# shellcheck disable=SC2086
run 0 meta --data made $net --format plain $fast --out asked

finish
