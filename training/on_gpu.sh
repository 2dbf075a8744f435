#!/bin/sh
# One command for a lent GPU: on a bare machine with torch, from the root of a checkout that has its data in .gpu/.
#
#   sh training/on_gpu.sh all 9.5       proof, tests and benchmarks, then training until 9.5 minutes are over
#   sh training/on_gpu.sh check         proof, tests and benchmarks alone
#   sh training/on_gpu.sh train 9.5     training alone, for 9.5 minutes; what follows goes to training.train
#   sh training/on_gpu.sh train 3 --stages '[{steps: 9, crop: 64, batch: 2}]' --scales '[1]' --device cpu
#
# .gpu/ has data/content, data/style, data/large (may be missing), data/MANIFEST.csv, teacher/*.safetensors, and wheels/
# of packages that the machine lacks; in data/large must be no picture related to one that is held out. Results go to
# $OUT (default: out): log.txt, log.jsonl, config.yaml, model.safetensors, checks.txt, benchmarks.json, sheet.png,
# curves.png; every two minutes and at the end.
# CONFIG (default: lite) is the recipe (strokes needs wheels of numba and llvmlite, too: its filter runs on the CPU,
# without CUDA graphs), INIT a model file to begin with, EVERY the seconds between two copies,
# PROOF the seconds of the proof, TESTS more arguments of pytest, BENCH those of python -m benchmarks, which may take
# BENCH_SECONDS on BENCH_DEVICE.
set -eu
began=$(date +%s)
what=${1:?all, check or train}; shift
minutes=0
if [ "$what" != check ]; then minutes=${1:?minutes}; shift; fi
cd "$(dirname "$0")/.."
data=.gpu/data; out=${OUT:-out}; config=${CONFIG:-lite}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"
if ls .gpu/wheels/*.whl >/dev/null 2>&1; then
    python3 -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade --target "$work/site" .gpu/wheels/*.whl
fi
PYTHONPATH="$PWD:$work/site${PYTHONPATH:+:$PYTHONPATH}"
PYTHONUNBUFFERED=1; ADAINKIT_OFFLINE=1
export PYTHONPATH PYTHONUNBUFFERED ADAINKIT_OFFLINE

run() {  # run FOLDER MINUTES SETTINGS...
    folder=$1; time=$2; shift 2
    set -- --out "$folder" --minutes "$time" --checkpoint-every 100000000 --sample-every 100000000 "$@"
    if [ -d $data/large ]; then set -- --content $data/large "$@"; fi
    if [ -n "${INIT:-}" ]; then set -- --init "$INIT" "$@"; fi
    for teacher in .gpu/teacher/*.safetensors; do set -- --teacher "$teacher" "$@"; done
    python3 -m training.train --config "$config" --content $data/content --style $data/style "$@"
}

copy() {  # what there is of the run, each file whole or as it was before
    for file in log.jsonl config.yaml model.safetensors curves.png; do
        if [ -f "$work/run/$file" ]; then
            cp "$work/run/$file" "$out/$file.part" && mv "$out/$file.part" "$out/$file"
        fi
    done
    if [ -f "$work/log.txt" ]; then tail -c 2000000 "$work/log.txt" >"$out/log.txt"; fi
    newest=$(ls "$work"/run/sheets/*.png 2>/dev/null | tail -n 1 || true)
    if [ -n "$newest" ]; then cp "$newest" "$out/sheet.png"; fi
}

check() {
    {
        python3 -c 'import torch; print(torch.__version__, torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA")'
        echo "== proof: training for ${PROOF:-20} seconds"
        run "$work/proof" "$(echo "${PROOF:-20}" | awk '{print $1 / 60}')" "$@" || echo "THE PROOF FAILED"
        tail -n 3 "$work/proof/log.jsonl" || true
        echo "== tests marked cuda"
        # shellcheck disable=SC2086
        python3 -m pytest -q -m cuda -p no:cacheprovider --continue-on-collection-errors ${TESTS:-} || echo "TESTS FAILED"
        echo "== benchmarks"
        # shellcheck disable=SC2086
        timeout "${BENCH_SECONDS:-90}" python3 -m benchmarks --device "${BENCH_DEVICE:-cuda}" --json "$out/benchmarks.json" \
            ${BENCH:---rounds 5} || echo "BENCHMARKS FAILED, or took longer than ${BENCH_SECONDS:-90} s"
    } 2>&1 | tee "$out/checks.txt"
}

train() {  # what is left of the minutes, less what starting Python and copying take
    left=$(awk -v m="$minutes" -v s=$(($(date +%s) - began)) 'BEGIN { print m - (s + 15) / 60 }')
    echo "training for $left minutes"
    (while sleep "${EVERY:-120}"; do copy; done) >/dev/null 2>&1 &  # not on our output: a caller may wait until it closes
    copier=$!
    trap 'kill $copier 2>/dev/null || true; copy; rm -rf "$work"' EXIT
    run "$work/run" "$left" --checkpoint-minutes 1.8 "$@" >"$work/log.txt" 2>&1 || { tail -n 20 "$work/log.txt"; return 1; }
    tail -n 5 "$work/log.txt"; tail -n 2 "$work/run/log.jsonl"
}

case $what in
    all) check "$@"; train "$@" ;;
    check) check "$@" ;;
    train) train "$@" ;;
    *) echo "all, check or train, not $what" >&2; exit 2 ;;
esac
