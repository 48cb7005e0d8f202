#!/usr/bin/env bash
# Every benchmark of speed that needs no GPU, unattended. Meant to take under ten minutes on a quiet machine with two cores.
#
#     bash scripts/speed_checks.sh [FOLDER]
#
# Replaces the lines of FOLDER/bench_*.jsonl (default scripts/results), each with the load of the machine, and fills
# in the tables of the documentation. Where USB (`pip install semilearn==0.3.2`) is missing, ssl_step measures ours alone.
# PYTHON: the interpreter (default python3). PARTS: which, in this order. QUICK=1: one round of each, to try the script.
set -euo pipefail
here=$(CDPATH="" cd -- "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$here"
folder=${1:-scripts/results} python=${PYTHON:-python3}
parts=${PARTS:-step ssl_step weak_pass precision predict compile losses mixers}
export PYTHONPATH="$here${PYTHONPATH:+:$PYTHONPATH}"
mkdir -p "$folder"

bench() { # NAME OPTION...
    local name=$1 few=()
    shift
    if [ -n "${QUICK:-}" ]; then few=(--rounds 1); fi
    "$python" scripts/bench.py "$name" "$@" "${few[@]}" --json "$folder/bench_$name.jsonl"
}

for part in $parts; do
    rm -f "$folder/bench_$part.jsonl"
    case $part in
    step)
        bench step --rounds 5
        bench step --rounds 5 --amp bf16
        ;;
    ssl_step)
        bench ssl_step --rounds 2 --steps 2 --keep-freed-memory
        ;;
    weak_pass) bench weak_pass --steps 200 --rounds 3 ;;
    precision) "$python" scripts/bench.py precision --json "$folder/bench_precision.jsonl" ;;
    predict) bench predict --images 128 --rounds 3 ;;
    compile)
        bench compile --net wrn-28-2
        bench compile --net timm:vit_tiny_patch16_224 --image-size 224 --batch-size 4
        ;;
    losses)
        bench losses
        bench losses --compile
        ;;
    *) bench "$part" ;;
    esac
done
if [ $# -eq 0 ]; then "$python" scripts/results_tables.py; fi
