"""Rounding of Winograd's F(4 x 4, 3 x 3) in f32 for several points, beside plain sums: python points.py

40 tiles of noise, 64 channels, 16 outputs, sums one after the other. Prints root mean square and largest error over the root mean square of
the outputs in f64, and what an error in the entries is multiplied with along a side (root mean square): of outputs, and of gradients of weights.
"""

import numpy as np


def matrices(points):
    """A^T, G, B^T of Toom and Cook for five points and infinity."""
    transposed = np.zeros((4, 6))
    weights, pixels = np.zeros((6, 3)), np.zeros((6, 6))
    transposed[:, :5] = [[p**i for p in points] for i in range(4)]
    transposed[3, 5] = weights[5, 2] = 1
    for j, p in enumerate(points):
        others = [q for k, q in enumerate(points) if k != j]
        weights[j] = [p**k / np.prod([p - q for q in others]) for k in range(3)]
        pixels[j, :5] = np.poly(others)[::-1]
    pixels[5] = np.poly(points)[::-1]
    return transposed, weights, pixels


def sandwich(matrix, values):
    """L v L^T, step by step in f32."""
    matrix = matrix.astype("f4")
    half = np.zeros(values.shape[:-2] + (len(matrix), values.shape[-1]), "f4")
    for k in range(matrix.shape[1]):
        half += matrix[:, k][:, None] * values[..., k, :][..., None, :]
    out = np.zeros(values.shape[:-2] + (len(matrix),) * 2, "f4")
    for k in range(matrix.shape[1]):
        out += half[..., :, k][..., None] * matrix[:, k]
    return out


def tiles():
    random = np.random.default_rng(0)
    x = random.standard_normal((40, 64, 6, 6)).astype("f4")
    w = (random.standard_normal((16, 64, 3, 3)) / 24).astype("f4")
    want, plain = np.zeros((40, 16, 4, 4)), np.zeros((40, 16, 4, 4), "f4")
    for i, j in np.ndindex(4, 4):
        window = x[:, :, i : i + 3, j : j + 3]
        want[:, :, i, j] = np.einsum("tcab,ocab->to", window.astype("f8"), w.astype("f8"))
        for c, a, b in np.ndindex(64, 3, 3):
            plain[:, :, i, j] += window[:, c, a, b][:, None] * w[:, c, a, b]
    return x, w, want, plain


def main():
    x, w, want, plain = tiles()
    size = np.sqrt((want**2).mean())
    error = lambda out: f"{np.sqrt(((out - want) ** 2).mean()) / size:.2e} {abs(out - want).max() / size:.2e}"
    print("plain sums         ", error(plain))
    for name, p in [
        ("0, +-1, +-2        ", [0, 1, -1, 2, -2]),
        ("0, +-1, 1/2, -2    ", [0, 1, -1, 0.5, -2]),
        ("0, +-5/8, +-5/4    ", [0, 0.625, -0.625, 1.25, -1.25]),
        ("0, +-5/8, +-3/2    ", [0, 0.625, -0.625, 1.5, -1.5]),
    ]:
        transposed, weights, pixels = matrices(p)
        v, u = sandwich(pixels, x), sandwich(weights, w)
        sums = np.zeros((40, 16, 6, 6), "f4")
        for c in range(64):
            sums += v[:, None, c] * u[None, :, c]
        squares = [(m**2).sum(1) for m in (weights, pixels, transposed.T)]
        outputs = np.sqrt(transposed**2 @ (squares[0] * squares[1])).max()
        gradients = np.sqrt((weights.T**2) @ (squares[2] * squares[1])).max()
        print(name, error(sandwich(transposed, sums)), f"{outputs:.2f} {gradients:.2f}")


main()
