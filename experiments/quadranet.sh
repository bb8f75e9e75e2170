#!/bin/sh
# Quadratic networks from nothing on CIFAR-10 (32x32, patches of 2): beside the same network with ordinary depthwise convolutions and beside ConvNeXt of as
# many operations, quadratic neurons in the spatial or the channel part, kernels 3 to 11, three widths and two depths; XOR by one neuron; time and memory beside
# Swin and HorNet. Goes on cell by cell: what is done is kept in build/experiments/quadranet, so an interrupted run continues. Prints the tables of
# docs/experiments.md; what is not there yet is "-".
# Usage: ./run experiment quadranet        (needs ../shared/data/cifar10.tar, or CIFAR10=path of such an archive)
# Smaller or in part:
#   QUADRANET_EPOCHS, QUADRANET_SEEDS, QUADRANET_SEARCH (seeds of the searches), QUADRANET_THREADS
#   QUADRANET_IMAGES    of a class, in training and in test
#   QUADRANET_BATCH     of the memory table, and QUADRANET_SIZES its widths
#   QUADRANET_MODELS    t, s or b: the models whose time is measured, and QUADRANET_TIMED the images a step
#   QUADRANET_PARTS     of: models places kernels sizes xor memory speed search; none of them prints the tables of what is there
# A minute: QUADRANET_EPOCHS=1 QUADRANET_IMAGES=20 QUADRANET_SEEDS=0 QUADRANET_BATCH=1 QUADRANET_SIZES=64 QUADRANET_TIMED=1
set -eu
fettle=$(cd "$(dirname "${1:-build/fettle}")" && pwd)/$(basename "${1:-build/fettle}")
archive=$(realpath "${CIFAR10:-../shared/data/cifar10.tar}")
work=${EXPERIMENT_DIR:-$(dirname "$fettle")/experiments/quadranet}
epochs=${QUADRANET_EPOCHS:-4} seeds=${QUADRANET_SEEDS:-0 1 2} search_seeds=${QUADRANET_SEARCH:-${QUADRANET_SEEDS:-0}}
batch=${QUADRANET_BATCH:-64} widths=${QUADRANET_SIZES:-64 128} model_size=${QUADRANET_MODELS:-t} timed=${QUADRANET_TIMED:-8}
parts=${QUADRANET_PARTS-models places kernels sizes xor memory speed search}
threads=${QUADRANET_THREADS:+--threads $QUADRANET_THREADS}
xor=$(dirname "$fettle")/tests/xor_neuron
if [ ! -f "$archive" ]; then
    echo "experiment quadranet: $archive is missing" >&2
    exit 1
fi
mkdir -p "$work"
cd "$work"
[ -d cifar10 ] || tar -xf "$archive"
data=cifar10
if [ -n "${QUADRANET_IMAGES:-}" ]; then
    data=some.csv
    {
        echo path,label,split
        find cifar10 -name '*.jpg' | LC_ALL=C sort | awk -F/ -v n="$QUADRANET_IMAGES" '++seen[$2, $3] <= n { print $0 "," $3 "," $2 }'
    } >some.csv
fi

recipe="--batch 64 --lr 4e-3 --wd 0.05 --no-decay-1d --clip 5 --warmup 1 --smoothing 0.1 --augment light --val-fraction 0"
frame=patch=2,img=32
base=quadranet:depths=1+1+3+1,dim=16,$frame
narrow=quadranet:depths=1+1+3+1,dim=13,$frame,mixer=conv,quadratic_channels=true
rival=convnext:depths=1+1+3+1,widths=18+36+72+144,$frame

wanted() { case " $parts " in *" $1 "*) ;; *) return 1 ;; esac; }
# keep FILE COMMAND...: standard output of the command as FILE, once.
keep() {
    file=$1
    shift
    [ -f "$file" ] && return
    "$@" >"$file.tmp"
    mv "$file.tmp" "$file"
}
# One network and one seed, trained and then tested on the test images, once. A run that was killed goes on.
cell() { # cell NAME ARCHITECTURE SEED
    run=$1-$3
    if [ ! -f "$run.json" ]; then
        resume=
        [ -f "$run/run.json" ] && resume=--resume
        [ -d "$run" ] && [ -z "$resume" ] && rm -rf "$run"
        # shellcheck disable=SC2086
        keep "$run.json" "$fettle" train --arch "$2" --data $data $recipe --epochs "$epochs" $threads --seed "$3" --out "$run" --quiet --json $resume
    fi
    # shellcheck disable=SC2086
    keep "$run.test.json" "$fettle" eval --model "$run" --data $data --split test $threads --quiet --json
    keep "$1.plan.json" "$fettle" plan --model none --arch "$2,classes=10" --mode infer --batch 1 --quiet --json
}
bench() { # bench FILE FLAG...
    file=$1
    shift
    # shellcheck disable=SC2086
    keep "$file" "$fettle" bench "$@" $threads --quiet --json
}

# ---- the cells, what matters most first
if wanted models; then
    for seed in $seeds; do
        cell quadratic $base $seed
        cell plain $base,mixer=conv $seed
        cell convnext $rival $seed
    done
fi
kernels="3 5 9 11"
for seed in $seeds; do
    if wanted places; then
        cell channels $base,mixer=conv,quadratic_channels=true $seed
        cell channels-equal "$narrow" $seed
        cell everywhere $base,quadratic_channels=true $seed
    fi
    if wanted kernels; then
        for k in $kernels; do cell kernel$k $base,kernel=$k $seed; done
    fi
    if wanted sizes; then
        for width in 8 12 16; do
            for depth in 1+1+3+1 1+1+1+1; do
                [ $width-$depth = 16-1+1+3+1 ] && continue # the network of the first table
                cell size-$width-$depth-quadratic quadranet:depths=$depth,dim=$width,$frame $seed
                cell size-$width-$depth-plain quadranet:depths=$depth,dim=$width,$frame,mixer=conv $seed
            done
        done
    fi
    if [ "$seed" = "${seeds%% *}" ] && wanted xor; then keep xor.txt "$xor"; fi
done
if wanted memory; then
    for width in $widths; do bench blocks-$width.json blocks --size $width --batch $batch; done
fi
if wanted speed; then
    bench models-infer.json models --size "$model_size" --mode infer --batch "$timed" --steps 30
    bench models-train.json models --size "$model_size" --mode train --batch "$timed" --steps 10
    for k in 3 5 7 9 11; do bench time-kernel$k.json model --arch "quadranet36_$model_size:kernel=$k" --batch "$timed" --steps 10; done
fi

# ---- the search: for this machine, under two limits of one image's time, over quadratic and over ordinary blocks; beside networks of one kind of block
space=quadranet:depths=2+2+4+2,dim=16,$frame
by_hand="3,expand=2 7,expand=2 7,expand=4" # kernel and expansion
hand() { echo "hand-k$1" | sed 's/,expand=/e/'; }
# Milliseconds that the profile predicts of a network whose blocks are all of one kind: the places of each stage, 16x16 to 2x2, widths 16 to 128.
predicted() { # predicted BLOCK DEPTHS
    [ ! -f profile.json ] || awk -F'[":, ]+' -v block="$1" -v depths="$2" 'BEGIN { split(depths, d, " "); at["16x16x16"] = d[1]; at["8x8x32"] = d[2]; at["4x4x64"] = d[3]; at["2x2x128"] = d[4] }
        $2 == "quadratic" && $4 == block { t += at[$3] * $5 }
        $2 == "quadratic" && $3 == "32x32x3" { t += $6 }
        END { printf "%.4f", t }' profile.json
}
search() { # search NAME SPACE LIMIT SEED
    run=$1-$4
    if [ ! -f "$run.json" ]; then
        resume=
        [ -f "$run/search.safetensors" ] || [ -f "$run/run.json" ] && resume=--resume
        [ -d "$run" ] && [ -z "$resume" ] && rm -rf "$run"
        # shellcheck disable=SC2086
        keep "$run.json" "$fettle" nas search --data $data --arch $space --space "$2" --profile profile.json --latency "$3ms" $recipe --epochs "$epochs" \
            --search-warmup 1 --search-epochs "$epochs" $threads --seed "$4" --out "$run" --quiet --json $resume
    fi
    # shellcheck disable=SC2086
    keep "$run.test.json" "$fettle" eval --model "$run" --data $data --split test $threads --quiet --json
    [ -f "$run.arch" ] || "$fettle" nas derive "$run" --out "$run.arch" --quiet
    bench "$run.time.json" model --arch "$run.arch" --mode infer --batch 1 --warmup 20 --steps 200
}
if wanted search; then
    if [ ! -f profile.report.json ]; then
        rm -f profile.json
        # shellcheck disable=SC2086
        keep profile.report.json "$fettle" nas profile --arch $space --out profile.json $threads --quiet --json
    fi
    for block in $by_hand; do
        bench "$(hand "$block").time.json" model --arch "$space,kernel=$block,classes=10" --mode infer --batch 1 --warmup 20 --steps 200
        for seed in $search_seeds; do cell "$(hand "$block")" "$space,kernel=$block" "$seed"; done
    done
    bench quadratic.time.json model --arch "$base,classes=10" --mode infer --batch 1 --warmup 20 --steps 200
    # the limits: shares of what the largest network is predicted to take
    [ -f limits ] || awk -v t="$(predicted k7e4 "2 2 4 2")" 'BEGIN { printf "%.4f %.4f\n", 0.6 * t, 0.8 * t }' >limits
    for seed in $search_seeds; do
        for kind in quadra plain; do
            for n in 1 2; do search "search-$kind-$n" $kind "$(cut -d' ' -f$n limits)" "$seed"; done
        done
    done
fi

# ---- tables
value() { # value KEY FILE
    { [ -f "$2" ] && tr ',{}' '\n\n\n' <"$2" | sed -n "s/^ *\"$1\": *//p" | head -n 1 | tr -d '"'; } || true
}
# Accuracies over the seeds, in percent, as mean, sample deviation and number; nothing when there are none.
accuracy() { # accuracy NAME [SEEDS]
    for seed in ${2:-$seeds}; do value top1 "$1-$seed.test.json"; done |
        awk '/[0-9]/ { s += 100 * $1; q += 1e4 * $1 * $1; n++ } END { if (n) { m = s / n; v = n > 1 ? (q - n * m * m) / (n - 1) : 0; printf "%.2f %.2f %d", m, sqrt(v > 0 ? v : 0), n } }'
}
shown() { # shown NAME [SEEDS]: the same for a person
    accuracy "$1" "${2:-$seeds}" | awk '{ printf("%.1f", $1); if ($3 > 1) printf(" ± %.1f", $2); else printf(" (one seed)") } END { if (!NR) printf "-" }'
}
# Whether the first is more accurate than the second over the seeds that both have: by more than a deviation (held), by less or in one seed alone (not shown), or
# not at all.
above() { # above NAME NAME [SEEDS]
    for seed in ${3:-$seeds}; do echo "$(value top1 "$1-$seed.test.json") $(value top1 "$2-$seed.test.json")"; done |
        awk 'NF == 2 { n++; for (i = 1; i <= 2; i++) { s[i] += 100 * $i; q[i] += 1e4 * $i * $i } }
            END { if (!n) { print "-"; exit }
                for (i = 1; i <= 2; i++) { m[i] = s[i] / n; if (n > 1) v += (q[i] - n * m[i] * m[i]) / (n - 1) / 2 }
                gap = m[1] - m[2]
                both = sqrt(v > 0 ? v : 0)
                printf("%s (%+.1f points", n == 1 ? "not shown" : gap <= 0 ? "not held" : gap > both ? "held" : "not shown", gap)
                if (n > 1) printf(", deviation %.1f)\n", both)
                else print ", one seed)" }'
}
facts() { # facts NAME: parameters and millions of operations of an image
    awk -v p="$(value parameters "$1.plan.json")" -v g="$(value gflops_per_image "$1.plan.json")" 'BEGIN { if (p) printf "%d | %.1f", p, 1000 * g; else printf "- | -" }'
}
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { if (a > 0 && b > 0) printf "%.2fx", a / b; else printf "-" }'; }

printf '| network | parameters | MFLOP an image | top-1, %% | training, images/s |\n| --- | --- | --- | --- | --- |\n'
for line in "quadratic depthwise:quadratic" "the same with ordinary depthwise:plain" "ConvNeXt of as many operations:convnext"; do
    name=${line#*:}
    printf '| %s | %s | %s | %s |\n' "${line%%:*}" "$(facts "$name")" "$(shown "$name")" \
        "$(for seed in $seeds; do value images_per_s "$name-$seed.json"; done | awk '$1 > m { m = $1 } END { if (m) printf "%.0f", m; else printf "-" }')"
done
printf '\n| quadratic neurons | parameters | MFLOP an image | top-1, %% |\n| --- | --- | --- | --- |\n'
for line in nowhere:plain "in the spatial part:quadratic" "in the channel part:channels" "in the channel part of a narrower one:channels-equal" "in both:everywhere"; do
    printf '| %s | %s | %s |\n' "${line%%:*}" "$(facts "${line#*:}")" "$(shown "${line#*:}")"
done
printf '\n| kernel | parameters | MFLOP an image | top-1, %% | QuadraNet36-%s at 224: training, ms an image |\n| --- | --- | --- | --- | --- |\n' "$(echo "$model_size" | tr stb STB)"
for k in 3 5 7 9 11; do
    name=kernel$k
    [ $k = 7 ] && name=quadratic
    printf '| %s | %s | %s | %s |\n' $k "$(facts $name)" "$(shown $name)" \
        "$(awk -v s="$(value min_s time-kernel$k.json)" -v n="$(value batch time-kernel$k.json)" 'BEGIN { if (s) printf "%.0f", 1000 * s / n; else printf "-" }')"
done
printf '\n| width | blocks | quadratic, %% | ordinary, %% | quadratic is better |\n| --- | --- | --- | --- | --- |\n'
for width in 8 12 16; do
    for depth in 1+1+3+1 1+1+1+1; do
        q=size-$width-$depth-quadratic p=size-$width-$depth-plain
        [ $width-$depth = 16-1+1+3+1 ] && q=quadratic p=plain
        printf '| %s | %s | %s | %s | %s |\n' $width $depth "$(shown $q)" "$(shown $p)" "$(above $q $p)"
    done
done
[ -f xor.txt ] && { echo; cat xor.txt; }

# Cells of the two studies: the value of KEY in the element of a list that has NAME (the program prints a list's objects one after the other).
element() { # element FILE NAME KEY
    found=$({ [ -f "$1" ] && tr '{}' '\n\n' <"$1" | grep "\"name\": \"$2\"" | tr ',' '\n' | sed -n "s/^ *\"$3\": *//p" | head -n 1; } || true)
    echo "${found:--}"
}
printf '\n| model (size %s, 224, float32) | GFLOP an image | inference, images/s | QuadraNet36 is | training, images/s | QuadraNet36 is |\n| --- | --- | --- | --- | --- | --- |\n' "$model_size"
rate() { awk -v s="$(element "models-$1.json" "$2" min_s)" -v n="$(value batch "models-$1.json")" 'BEGIN { if (s > 0) printf "%.2f", n / s; else printf "-" }'; } # of the fastest step
for name in QuadraNet36 QuadraNet25 ConvNeXt HorNet Swin; do
    printf '| %s | %s | %s | %s | %s | %s |\n' $name "$(element models-infer.json $name gflops_per_image)" "$(rate infer $name)" \
        "$(ratio "$(rate infer QuadraNet36)" "$(rate infer $name)")" "$(rate train $name)" "$(ratio "$(rate train QuadraNet36)" "$(rate train $name)")"
done
memory() { element "blocks-$1.json" "$2" "$3"; }
printf '\n| 24 blocks, batch %s, 224 | width | planned, MiB | peak, MiB | s a step |\n| --- | --- | --- | --- | --- |\n' "$batch"
for width in $widths; do
    for name in skip conv quadra swin hor; do
        printf '| %s | %s | %s | %s | %s |\n' $name "$width" "$(memory "$width" $name planned_mib)" "$(memory "$width" $name peak_rss_mib)" \
            "$(memory "$width" $name median_s)"
    done
done

# The searched networks, and the best by hand within each limit.
limit() { { [ -f limits ] && cut -d' ' -f"$1" limits; } || true; }
milliseconds() { # milliseconds NAME: of one image, measured
    awk -v r="$(value images_per_s "$1.time.json")" 'BEGIN { if (r) printf "%.3f", 1000 / r; else printf "-" }'
}
predicted_of() { if [ "$1" = quadratic ]; then predicted k7e4 "1 1 3 1"; else predicted "${1#hand-}" "2 2 4 2"; fi; }
first=${search_seeds%% *}
hands=$(for block in $by_hand; do hand "$block"; done)
printf '\n| network (one image, ms) | MFLOP an image | limit | predicted | measured | top-1, %% |\n| --- | --- | --- | --- | --- | --- |\n'
for name in quadratic $hands; do
    printf '| %s | %s | | %s | %s | %s |\n' "$(if [ "$name" = quadratic ]; then echo "the first table's"; else echo "every block ${name#hand-}"; fi)" "$(facts "$name" | sed 's/.*| //')" \
        "$(predicted_of "$name")" "$(milliseconds "$name")" "$(shown "$name" "$search_seeds")"
done
for kind in quadra plain; do
    for n in 1 2; do
        name=search-$kind-$n
        printf '| searched, %s | %s | %s | %s | %s | %s |\n' "$([ $kind = plain ] && echo 'ordinary blocks' || echo 'quadratic blocks')" "$(awk -v f="$(value flops "$name-$first.json")" 'BEGIN { if (f) printf "%.1f", f / 1e6; else printf "-" }')" \
            "$(limit $n)" "$(value latency "$name-$first.json")" "$(milliseconds "$name-$first")" "$(shown "$name" "$search_seeds")"
    done
done
best_by_hand() { # best_by_hand LIMIT: the most accurate network by hand that is predicted to take no more
    for name in quadratic $hands; do echo "$name $(predicted_of "$name") $(accuracy "$name" "$search_seeds")"; done | awk -v limit="$1" 'NF == 5 && $2 + 0 <= limit + 0 && $3 > best { best = $3; name = $1 } END { print name }'
}

# What the paper claims. compare VALUE LIMIT: whether a number reaches a limit.
compare() { # compare VALUE OPERATOR LIMIT
    awk -v a="$1" -v b="$3" -v op="$2" 'BEGIN { if (a == "" || a == "-") print "-"; else print (op == "at-least" ? a + 0 >= b : a + 0 <= b) ? "held" : "not held" }'
}
faster() { ratio "$(rate infer QuadraNet36)" "$(rate infer "$1")"; }
width=${widths%% *}
over_conv=$(ratio "$(memory "$width" quadra planned_mib)" "$(memory "$width" conv planned_mib)")
of_swin=$(ratio "$(memory "$width" quadra planned_mib)" "$(memory "$width" swin planned_mib)")
of_hor=$(ratio "$(memory "$width" quadra planned_mib)" "$(memory "$width" hor planned_mib)")
everywhere=$({ above quadratic plain && for line in 8-1+1+3+1 8-1+1+1+1 12-1+1+3+1 12-1+1+1+1 16-1+1+1+1; do above "size-$line-quadratic" "size-$line-plain"; done; } |
    awk '/points/ { n++; if ($0 ~ /\(\+/ && $0 !~ /\+0\.0/) better++ } END { if (!n) print "-"; else printf("%s (better in %d of %d)", better == n ? "held" : "not held", better, n) }')
printf '\n| claim of the paper | here |\n| --- | --- |\n'
claim() { printf '| %s | %s |\n' "$1" "$2"; }
claim "quadratic depthwise convolution beats the ordinary one in the same network" "$(above quadratic plain)"
claim "it beats ConvNeXt of as many operations" "$(above quadratic convnext)"
claim "it does so at every width and depth" "$everywhere"
claim "quadratic neurons give more in the spatial part than in the channel part, at equal operations" "$(above quadratic channels-equal)"
claim "larger kernels are more accurate: 11 against 3" "$(above kernel11 kernel3)"
claim "they are slower: 11 against 3, times as long" "$(ratio "$(value min_s time-kernel11.json)" "$(value min_s time-kernel3.json)")"
claim "1.5 times the throughput of Swin" "$(compare "$(faster Swin)" at-least 1.5) ($(faster Swin))"
claim "1.5 times the throughput of HorNet" "$(compare "$(faster HorNet)" at-least 1.5) ($(faster HorNet))"
claim "more throughput than ConvNeXt" "$(compare "$(faster ConvNeXt)" at-least 1) ($(faster ConvNeXt))"
claim "in training little more memory than the block with ordinary convolutions (5 %)" "$(compare "$over_conv" at-most 1.05) ($over_conv)"
claim "30 % less memory than Swin's block" "$(compare "$of_swin" at-most 0.7) ($of_swin)"
claim "less memory than HorNet's block" "$(compare "$of_hor" at-most 1) ($of_hor)"
for n in 1 2; do
    claim "the search finds a better network than by hand under limit $n" "$(above search-quadra-$n "$(best_by_hand "$(limit $n)")" "$search_seeds")"
    claim "it finds a better one than the same search over ordinary blocks, limit $n" "$(above search-quadra-$n search-plain-$n "$search_seeds")"
done
error=$(value mean_error profile.report.json)
claim "predicted latency is within 10 % of the measured one in the mean" "$(compare "$error" at-most 0.1) ($(awk -v e="$error" 'BEGIN { if (e != "") printf "%.1f %%", 100 * e; else printf "-" }'))"
claim "ImageNet-1K accuracy; latency on Cortex-A76, Myriad VPU, A100" "cannot be tested here"
