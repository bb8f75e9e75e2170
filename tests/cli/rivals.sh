#!/bin/sh
# The methods that MABN is compared with: each trains on known sites so that its loss falls, is saved, goes on after SIGKILL without being told
# its options, adapts to every site, and its files are taken by eval; what is refused. rivals.sh HARNESS FETTLE JSON_CHECK
FETTLE=$2 JSON_CHECK=$3
. "$1"

run 0 data synth --out sites --domains 3 --classes 3 --per-class 10 --val-per-class 4 --quiet
small="--data sites --model none --arch resnet_cifar:depth=8,width=8,img=32,classes=3 --holdout sketch --lr 3e-3 --quiet"

flags() {
    case $1 in
    erm) echo "--epochs 8 --batch 10" ;;
    arm-*) echo "--epochs 8 --support 5 --meta-batch 2" ;;
    meta-dmoe) echo "--epochs 5 --batch 10 --support 5 --query 5 --episodes 12 --inner-lr 0.1 --outer-lr 1e-3" ;;
    esac
}

# Mean of the stage's first two lines in log.csv, and of its last two: falling.
falls() { # RUN STAGE
    awk -F, -v stage="$2" '$1 == stage { v[n++] = $3 } END { exit !(n > 3 && v[n - 1] + v[n - 2] < v[0] + v[1]) }' "$1/log.csv" ||
        complain "$1: the loss of stage $2 does not fall: $(grep "^$2," "$1/log.csv" | cut -d, -f3 | tr '\n' ' ')"
}

for method in erm arm-bn arm-cml arm-ll meta-dmoe; do
    # shellcheck disable=SC2046,SC2086
    run 0 meta $small --method $method $(flags $method) --out $method --json
    json run:text steps:int episodes:int joint_loss:real adapting:int top1:real
    for stage in $(cut -d, -f1 $method/log.csv | sort -u); do
        case $stage in
        stage | meta) ;; # episodes are few here, and each is another site
        *) falls $method "$stage" ;;
        esac
    done
    run 0 eval --model $method --data sites/sketch --json
    plain=$(value loss)

    # Killed, and resumed by the run's own record.
    # shellcheck disable=SC2046,SC2086
    "$FETTLE" meta $small --method $method $(flags $method) --out "killed-$method" >out 2>err &
    sleep 0.4
    kill -KILL $! 2>/dev/null
    wait $! 2>/dev/null
    if [ -f "killed-$method/run.json" ] && [ ! -f "killed-$method/model.safetensors" ]; then
        run 0 meta --resume --out "killed-$method" --quiet
        for file in model branch; do
            cmp -s $method/$file.safetensors "killed-$method/$file.safetensors" || complain "$method: $file differs after a kill and a resume"
        done
    fi

    # Every site.
    way=$method
    [ $method = erm ] && way=bn
    run 0 adapt --model $method --data sites --domains flat,sketch,textured --method $way --shuffle-domains --count 8 --out "d_$method" --json
    json before:real after:real shuffled:real worst_after:real domains:list
    run 0 eval --model $method --adapter "d_$method/sketch.safetensors" --data sites/sketch --json
    [ "$(value loss)" = "$plain" ] && complain "$method: the site's file changes nothing"
    run 0 adapt --model $method --images sites/sketch/train/disc --method $way --out "one_$method.safetensors" --quiet
    run 0 adapt --model $method --images sites/sketch/train/disc --method $way --out "two_$method.safetensors" --quiet
    cmp -s "one_$method.safetensors" "two_$method.safetensors" || complain "$method: the same pictures give another file"
done

# Its own method is the default; where there is none that is said.
run 0 adapt --model arm-cml --images sites/sketch/train/disc --out default.safetensors --quiet
run 0 adapt --model arm-cml --images sites/sketch/train/disc --out named.safetensors --method arm-cml --quiet
cmp -s default.safetensors named.safetensors || complain "the default is not the run's method"
run 2 adapt --model erm --images sites/sketch/train/disc --out x.safetensors
says "no adaptation of its own"
run 0 adapt --model arm-ll --images sites/sketch/train/disc --out x.safetensors --method bn --quiet
run 0 adapt --model meta-dmoe --images sites --out none.safetensors
says "no pictures to adapt from"
run 0 eval --model meta-dmoe --adapter none.safetensors --data sites/sketch --quiet

# Refused.
run 2 adapt --model arm-bn --images sites/sketch/train/disc --out x.safetensors --method arm-cml
says "trained for it" "arm-bn"
run 2 adapt --model arm-ll --images sites/sketch/train/disc --out x.safetensors --adapt both
says "means nothing"
run 1 eval --model arm-ll --adapter d_meta-dmoe/sketch.safetensors --data sites/sketch
says "trained on another model"
# shellcheck disable=SC2086
run 2 meta $small --method arm-xy --out x
says "arm-cml"
# shellcheck disable=SC2086
run 2 meta $small --method erm --support 4 --out x
says "support means nothing to method erm"
# shellcheck disable=SC2086
run 2 meta $small --method meta-dmoe --experts 3 --out x
says "3 experts need as many domains"
run 2 meta --data sites --model none --arch vit:dim=16,depth=1,heads=2,patch=8,img=32 --method arm-cml --out x
says "cannot take a context"
run 1 meta --resume --out nowhere
says "no run to resume"

finish
