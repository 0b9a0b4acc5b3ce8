#!/bin/sh
# Checks this machine's GPU against its CPU and measures it, beside PyTorch where there is one: sh run.sh [RESULTS]
#
# Needs a driver for CUDA 13 and CUDA's libraries: those of LD_LIBRARY_PATH, of Python packages
# (pip install torch nvidia-curand) or of /usr/local/cuda.
# QUICK=1 measures the small sizes only; DEVICE=cuda:1 takes another GPU; PYTHON=... is the one that has PyTorch.
set -u
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
out=${1:-npair-gpu-results}
device=${DEVICE:-cuda}
python=${PYTHON:-python3}
mkdir -p "$out" || exit 1

found=$("$python" - 2>/dev/null <<'PYTHON'
import glob, site, sys
places = site.getsitepackages() + [site.getusersitepackages()] + sys.path
print(":".join(dict.fromkeys(path for place in places if place for path in sorted(glob.glob(place + "/nvidia/*/lib")))))
PYTHON
)
export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}${found:+$found:}/usr/local/cuda/lib64"

missing=$(ldd "$here/npair" 2>/dev/null | grep 'not found')
if [ -n "$missing" ]; then
    printf 'CUDA libraries are missing:\n%s\n' "$missing" >&2
    echo 'libcuda comes with the driver, the others with: pip install torch nvidia-curand (which PyTorch 2.15 does without); or point LD_LIBRARY_PATH at them.' >&2
    exit 4
fi

failed=0
# Shows and keeps what a program prints, and remembers that it failed.
keep() {
    file=$1
    shift
    echo "== $*"
    { "$@" 2>&1; echo "exit code $?"; } | tee "$out/$file"
    [ "$(tail -n 1 "$out/$file")" = "exit code 0" ] || failed=1
}

{
    cat "$here/BUILT"
    date -u +%Y-%m-%d
    nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.sm,clocks.max.sm,power.limit --format=csv
    "$python" -c 'import torch; print("torch", torch.__version__, "cuda", torch.version.cuda, "cudnn", torch.backends.cudnn.version())'
} > "$out/machine.txt" 2>&1
cat "$out/machine.txt"

quick=${QUICK:+--quick}
keep check.txt "$here/npair" gpu-check --device "$device"
# shellcheck disable=SC2086 # no word where it is empty
keep bench.txt "$here/npair" bench --device "$device" $quick --record "$out/bench.jsonl"
if "$python" -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null; then
    # shellcheck disable=SC2086
    keep peers.txt "$python" "$here/peers/gpu.py" --device "$device" $quick --beside "$out/bench.jsonl"
else
    echo "not taken: the comparison with PyTorch: $python has none that sees a GPU" | tee "$out/peers.txt"
fi
echo "results: $out"
exit $failed
