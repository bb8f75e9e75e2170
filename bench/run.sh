#!/bin/sh
# fettle beside PyTorch and ONNX Runtime on one machine, in one run: images a second and peak memory of each workload, as a Markdown
# table with ratios. A cell is measured once and kept in bench/results/; remove a file there to measure it again.
#   bench/run.sh [--batch N] [--steps N] [--threads N] [--n "N..."] [WORKLOAD...]
# Default: vit-hydra vit-full, batch 16, 3 steps, 2 threads; jaccard at each of --n features (8192 and 16384).
# The peers' scripts are looked for in ../shared/peers (or PEERS=folder). PyTorch: Debian's python3-torch and the newest one that
# bench/install_peers.sh installed into bench/peer-env; what is absent is left out and said so. Let nothing else run meanwhile.
set -eu
cd "$(dirname "$0")/.."
batch=16
steps=3
threads=2
rows='8192 16384'
fettle=${FETTLE:-build/fettle}
peers=${PEERS:-../shared/peers}
results=bench/results
python=/usr/bin/python3
mkdir -p "$results"

while [ $# -gt 0 ]; do
    case $1 in
    --batch) batch=$2; shift 2 ;;
    --steps) steps=$2; shift 2 ;;
    --threads) threads=$2; shift 2 ;;
    --n) rows=$2; shift 2 ;;
    --*) echo "bench: unknown flag $1" >&2; exit 2 ;;
    *) break ;;
    esac
done
[ $# -gt 0 ] || set -- vit-hydra vit-full

value() { tr ',{}' '\n\n\n' <"$2" | sed -n "s/^ *\"$1\": *//p" | head -n 1 | tr -d '"'; }

# cell NAME COMMAND...: run once; the result is the last line of the output
cell() {
    file=$results/$1.json
    shift
    [ -s "$file" ] && return 0
    echo "measuring: $*" >&2
    if "$@" >"$file.tmp" 2>"$file.log"; then
        tail -n 1 "$file.tmp" >"$file"
        rm -f "$file.tmp" "$file.log"
    else
        echo "  failed: $(tail -n 1 "$file.log")" >&2
        rm -f "$file.tmp"
        return 1
    fi
}
newest() { PYTHONPATH=bench/peer-env OMP_NUM_THREADS=$threads "$python" "$@"; }
debian() { OMP_NUM_THREADS=$threads "$python" "$@"; }

peak=$results/peak-$threads.json
cell "peak-$threads" "$fettle" bench peak --threads "$threads" --json
echo "Machine: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $threads threads, measured float32 peak $(value f32_gflops "$peak") GFLOP/s. Batch $batch, $steps steps, medians."

# measure ID "FETTLE'S FLAGS" "PEERS' FLAGS": both sides' cells of one line-up
measure() {
    # shellcheck disable=SC2086
    {
        cell "fettle-$1" "$fettle" bench "$workload" $2 --steps "$steps" --threads "$threads" --json --quiet
        if [ -d bench/peer-env ]; then
            cell "torch-$1" newest "$peers/torch_peer.py" "$workload" $3 --steps "$steps" --threads "$threads" || true
            case $1 in vit-hydra-infer-*)
                cell "ort-$1" newest "$peers/ort_peer.py" "$workload" --batch "$n" --steps "$steps" --threads "$threads" || true ;;
            esac
        else
            echo "bench/peer-env is absent (bench/install_peers.sh): the newest PyTorch and ONNX Runtime are left out" >&2
        fi
        if "$python" -c 'import torch' 2>/dev/null; then
            cell "debian-torch-$1" debian "$peers/torch_peer.py" "$workload" $3 --steps "$steps" --threads "$threads" || true
        else
            echo "Debian's python3-torch is absent: left out" >&2
        fi
    }
}

# table ID TITLE UNIT: of what was measured
table() {
    ours=$results/fettle-$1.json
    printf '\n%s\n\n| | %s/s | fettle is | peak MiB | fettle takes |\n| --- | --- | --- | --- | --- |\n' "$2" "$3"
    printf '| fettle | %s | | %s | |\n' "$(value images_per_s "$ours")" "$(value peak_rss_mib "$ours")"
    for peer in torch debian-torch ort; do
        file=$results/$peer-$1.json
        [ -s "$file" ] || continue
        version=$(value torch "$file")$(value onnxruntime "$file")
        awk -v label="$peer $version" -v r="$(value images_per_s "$file")" -v m="$(value peak_rss_mib "$file")" -v fr="$(value images_per_s "$ours")" \
            -v fm="$(value peak_rss_mib "$ours")" 'BEGIN { printf "| %s | %s | %.2fx | %s | %.2fx |\n", label, r, fr / r, m, fm / m }'
    done
    awk -v g="$(value gflops "$ours")" -v p="$(value f32_gflops "$peak")" 'BEGIN { if (g > 0 && p > 0) printf "\nfettle reaches %.0f GFLOP/s of needed work, %.0f %% of the peak.\n", g, 100 * g / p }'
}

for workload; do
    case $workload in
    jaccard)
        for n in $rows; do
            id=jaccard-n$n-t$threads
            measure "$id" "--n $n" "--n $n"
            table "$id" "jaccard, $n features of 2,048 values" features
        done
        continue
        ;;
    r50-spcl | r50-mabn | dw | mona-op) modes=train ;;
    *) modes="train infer" ;;
    esac
    for mode in $modes; do
        for n in $batch $([ "$mode" = infer ] && echo 1); do
            id=$workload-$mode-b$n-t$threads
            measure "$id" "--mode $mode --batch $n" "--mode $mode --batch $n"
            table "$id" "$workload, $mode, batch $n" images
        done
    done
done
