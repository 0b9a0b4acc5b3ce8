"""Made-up embeddings of the size of Stanford Online Products' test set, to the bit those of `benches/src/products.rs` (but for the
order in which lengths are summed)."""

import numpy as np

CLASSES = 11_316
ROWS = 60_502
NOISE = 2.35


def hashes(stream, at):
    with np.errstate(over="ignore"):
        z = (np.uint64(stream << 40) + at + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def numbers(stream, at):
    return (hashes(stream, at) >> np.uint64(11)).astype(np.float64) * (2.0 / 2**53) - 1.0


def sizes(classes, rows):
    at = np.arange(classes, dtype=np.uint64)
    draw = [(hashes(stream, at) % np.uint64(11)).astype(np.int64) for stream in (1, 2)]
    sizes = 2 + np.minimum(*draw)
    missing, at = rows - int(sizes.sum()), 0
    while missing:
        c = at % classes
        if missing > 0 and sizes[c] < 12:
            sizes[c] += 1
            missing -= 1
        elif missing < 0 and sizes[c] > 2:
            sizes[c] -= 1
            missing += 1
        at += 1
    return sizes


def products(classes, rows, width, noise):
    """Rows of length 1 around their class's centre, with so much noise (rows, width), and their classes."""
    labels = np.repeat(np.arange(classes), sizes(classes, rows))
    values = np.empty((rows, width), np.float32)
    across = np.arange(width, dtype=np.uint64)
    for start in range(0, rows, 4096):
        part = slice(start, min(rows, start + 4096))
        own = labels[part].astype(np.uint64)[:, None] * np.uint64(width) + across
        place = np.arange(part.start, part.stop, dtype=np.uint64)[:, None] * np.uint64(width) + across
        entries = numbers(3, own) + noise * numbers(4, place)
        values[part] = entries / np.sqrt((entries * entries).sum(axis=1, keepdims=True))
    return values, labels
