#!/usr/bin/env bash
# Everything about a GPU that cannot be tried without one, unattended, in under nine minutes.
#
#     bash scripts/gpu_checks.sh FOLDER [SECONDS [IMAGES [OPTIONS]]]
#
# Appends lines of JSON to FOLDER/gpu_checks.jsonl and keeps what is printed in FOLDER/gpu_checks.log. SECONDS: of training (default 60).
# IMAGES: a folder with train/CLASS and test/CLASS of CIFAR-10, or a tar file of it; without it there is no training.
# OPTIONS go to scripts/gpu_checks.py. A rehearsal without a GPU: --device cpu --batch-size 2 --steps 2 --rounds 1 --net small-cnn.
# PYTHON: the interpreter (default python3). LIMIT: seconds for everything (default 520). SSL_MIX_COMMIT: said beside the numbers where
# there is no repository. PARTS: which, in this order.
set -uo pipefail
out=${1:?the folder for the results} training=${2:-60} images=${3:-}
shift $(($# < 3 ? $# : 3))
here=$(CDPATH="" cd -- "$(dirname "${BASH_SOURCE[0]}")/.." && pwd) || exit 1
out=$(mkdir -p "$out" && cd "$out" && pwd) || exit 1
if [ -n "$images" ]; then images=$(realpath "$images") || exit 1; fi
cd "$here" || exit 1
export PYTHONPATH="$here${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
python=${PYTHON:-python3} limit=${LIMIT:-520} lines=$out/gpu_checks.jsonl
parts=${PARTS:-hardware tests parity alike step graphed ahead train wide compile graphs}
SECONDS=0 unpacked=""
exec > >(tee "$out/gpu_checks.log") 2>&1

if [ -f "$images" ]; then # meanwhile, as it takes a while
    unpacked=$(mktemp -d)
    trap 'rm -rf "$unpacked"' EXIT
    "$python" -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2], filter="data")' "$images" "$unpacked" &
    unpacking=$!
    images=$unpacked
fi

run() { # PART LIMIT OPTION...
    local part=$1 most=$2 left=$((limit - SECONDS)) status
    shift 2
    if [ "$left" -lt "$most" ]; then most=$left; fi
    if [ "$most" -lt 10 ]; then
        printf '{"check": "%s", "ok": false, "error": "no time left"}\n' "$part" >>"$lines"
        return
    fi
    timeout --kill-after=5 "$most" "$python" scripts/gpu_checks.py "$part" --json "$lines" "$@"
    status=$?
    if [ "$status" -ge 124 ]; then
        printf '{"check": "%s", "ok": false, "error": "ended with status %s after at most %s s"}\n' "$part" "$status" "$most" >>"$lines"
    fi
}

for part in $parts; do
    case $part in
    train)
        if [ -z "$images" ]; then continue; fi
        if [ -n "$unpacked" ]; then wait "$unpacking"; fi
        run train $((training + 30)) --images "$images" --seconds "$training" "$@"
        ;;
    tests | alike | compile | graphs) run "$part" 120 "$@" ;;
    *) run "$part" 60 "$@" ;;
    esac
done
