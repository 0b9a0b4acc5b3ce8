#!/bin/sh
# nvcc as `cargo xtask gpu-pack` gives it to builds: what it compiled is kept by content, and kernels that npair never starts
# are compiled in a hurry.
#
# NPAIR_NVCC is the compiler, NPAIR_NVCC_KEPT the folder of what was compiled.
set -eu
source= output= folder= next=
for word in "$@"; do
    case $next in
    output) output=$word ;;
    folder) folder=$word ;;
    esac
    next=
    case $word in
    -o) next=output ;;
    --output-directory) next=folder ;;
    *.cu) source=$word ;;
    esac
done
# A question, or a library made of objects: nothing to keep.
[ -n "$source" ] || exec "$NPAIR_NVCC" "$@"

name=$(basename "$source")
[ -n "$output" ] || output=$folder/${name%.cu}.ptx

# candle's products of quantised weights are linked in, whatever is asked for. They are most of the time and of the size of its
# kernels, and no network of npair has such weights.
hurry=
case $name in
mm*_gguf.cu | mmq_* | moe_* | quantized.cu) hurry='--Ofast-compile max' ;;
esac

# The words but for where the result goes, the compiler, and every file beside the source and in the folders around it.
key=$(
    {
        echo "$hurry ${NVCC_APPEND_FLAGS:-} ${NVCC_PREPEND_FLAGS:-}"
        for word in "$@"; do
            case $word in
            "$source") echo "$name" ;;
            "$output" | "$folder") ;;
            *) echo "$word" ;;
            esac
        done
        "$NPAIR_NVCC" --version
        find "$(dirname "$source")/.." -type f \( -name '*.cu' -o -name '*.cuh' -o -name '*.h' \) | LC_ALL=C sort | xargs cat
    } | sha256sum | cut -c -32
)
kept=$NPAIR_NVCC_KEPT/$key-$name
if [ ! -f "$kept" ]; then
    # shellcheck disable=SC2086 # no word, or two
    "$NPAIR_NVCC" "$@" $hurry
    mkdir -p "$NPAIR_NVCC_KEPT"
    # Whole or not at all, as others may compile the same.
    cp "$output" "$kept.$$" && mv "$kept.$$" "$kept"
    exit 0
fi
cp "$kept" "$output"
