"""The plan of the kernels for compute capability 9.0."""

VARIANTS = [()]


def takes(chip, precision):
    return False


def knows(kind):
    return False
