"""Holds ONNX Runtime against our networks.

    cargo run -p npair-onnx --example pairs -- DIR [ARCHITECTURE..]
    python3 crates/onnx/tests/runtime/check.py DIR

Every folder in DIR has a model.onnx, inputs and what our network makes of them in f32; where exact.npy lies beside them, it is what
our network makes of them in f64, and the columns behind say how far both are from it. Errors are max |a - b| / max |b|.

The last column is the spread of the embeddings over the batch, max |a - mean| / max |a|. Where it is not far above the tolerance, a
network hardly looks at its input, and one with another graph would pass.

Exit code 1 if one of the first column is above the tolerance or a spread below a hundred of them.

Needs numpy, onnx and onnxruntime.
"""

import argparse
import pathlib
import sys

import numpy
import onnx
import onnxruntime


def error(got, want):
    return float(numpy.abs(got.astype(numpy.float64) - want).max() / numpy.abs(want).max())


def run(path, batches):
    """What the runtime makes of batches of several sizes, each a first part of the inputs."""
    onnx.checker.check_model(str(path), full_check=True)
    options = onnxruntime.SessionOptions()
    # What cannot be foreseen of a file is an error here, not a warning.
    options.log_severity_level = 2
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (taken,), (given,) = session.get_inputs(), session.get_outputs()
    assert taken.name in ("images", "vectors") and given.name == "embeddings", (taken.name, given.name)
    assert taken.shape[0] == given.shape[0] == "batch", (taken.shape, given.shape)
    return [session.run(["embeddings"], {taken.name: batch})[0] for batch in batches]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", type=pathlib.Path)
    parser.add_argument("--tolerance", type=float, default=1e-5)
    arguments = parser.parse_args()
    folders = sorted(path.parent for path in arguments.dir.glob("*/model.onnx"))
    if not folders:
        sys.exit(f"{arguments.dir}: no networks; write some with the example `pairs`")
    failed = []
    print(f"{'network':34} {'runtime-ours':>12} {'runtime-f64':>12} {'ours-f64':>12} {'spread':>8}")
    for folder in folders:
        inputs, want = (numpy.load(folder / name) for name in ("input.npy", "want.npy"))
        sizes = sorted({1, len(inputs)})
        outputs = run(folder / "model.onnx", [inputs[:size] for size in sizes])
        worst = max(error(got, want[:size]) for got, size in zip(outputs, sizes))
        spread = float(numpy.abs(want - want.mean(0)).max() / numpy.abs(want).max())
        rest = " " * 25
        if (folder / "exact.npy").exists():
            exact = numpy.load(folder / "exact.npy")
            there = max(error(got, exact[:size]) for got, size in zip(outputs, sizes))
            rest = f"{there:12.1e} {error(want, exact):12.1e}"
        # NaN is no success either.
        if not (worst <= arguments.tolerance and spread >= 100 * arguments.tolerance):
            failed.append(folder.name)
        mark = "  FAILED" if folder.name in failed else ""
        print(f"{folder.name:34} {worst:12.1e} {rest} {spread:8.1e}{mark}", flush=True)
    if failed:
        sys.exit(f"{len(failed)} of {len(folders)} networks fail at {arguments.tolerance:.0e}: {', '.join(failed)}")


if __name__ == "__main__":
    main()
