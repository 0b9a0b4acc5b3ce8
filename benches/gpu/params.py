"""What every kernel is told beside its buffers, as `kernels/params.cuh` and `device/params.rs` have it."""

import ctypes

import torch

WORDS = [
    "rows", "columns", "width", "stride", "first_row", "first_column", "line", "tiles", "mask", "kind", "parts", "flags", "k",
    "capacity", "absent",
]  # fmt: skip


class Params(ctypes.Structure):
    _fields_ = [(word, ctypes.c_uint32) for word in WORDS] + [("scale", ctypes.c_float), ("share", ctypes.c_float)]


# Reductions and masks by their numbers in the kernels.
KINDS = {"log_sum_exp": 0, "log1p_sum_exp": 1, "softplus_sum": 2}
MASKS = {"all": 0, "off_diagonal": 1, "same_class": 2, "same_class_off_diagonal": 3, "other_class": 4}

# How numbers are multiplied: the part of kernels' names, and the type of the sides.
PRECISIONS = {"bf16": torch.bfloat16, "f16": torch.float16, "tf32": torch.float32, "split": torch.float32, "f32": torch.float32}
TYPE_NAMES = {torch.bfloat16: "bf16", torch.float16: "f16", torch.float32: "f32"}


class Mask:
    """Which entries take part; classes are tensors of int32 on the chip."""

    def __init__(self, name="all", row_classes=None, column_classes=None):
        self.name, self.number = name, MASKS[name]
        self.classes = (row_classes, column_classes) if self.number >= MASKS["same_class"] else (None, None)

    def matrix(self, rows, columns, device):
        """The same as booleans (rows, columns)."""
        row, column = torch.arange(rows, device=device)[:, None], torch.arange(columns, device=device)[None, :]
        same = None if self.classes[0] is None else self.classes[0][:rows, None] == self.classes[1][None, :columns]
        return {
            "all": lambda: torch.ones(rows, columns, dtype=torch.bool, device=device),
            "off_diagonal": lambda: row != column,
            "same_class": lambda: same,
            "same_class_off_diagonal": lambda: same & (row != column),
            "other_class": lambda: ~same,
        }[self.name]()
