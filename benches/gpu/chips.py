"""What runs the kernels: a GPU through its driver, or fibers of this processor. Memory is PyTorch's on both."""

import ctypes
import hashlib
import os
import pathlib
import re
import subprocess

import torch

from params import Params

ROOT = pathlib.Path(__file__).resolve().parents[2]
KERNELS = ROOT / "crates/similarity-cuda/kernels"
EMULATION = ROOT / "crates/similarity-cuda/emulation"
WORDS = ROOT / "crates/testkit/emulation"
SOURCES = ["soft", "search", "hopper"]

# Bytes behind every buffer that nothing may write to.
FENCE = 256


def fingerprint(files, words):
    """A number of files and of the compiler's words."""
    digest = hashlib.sha256(" ".join(words).encode())
    for file in sorted(files):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def files_of(*folders):
    return {file for folder in folders for file in folder.iterdir() if file.is_file()}


def included(file):
    """A source and what it includes of the folder around it."""
    found = {file}
    for name in re.findall(r'^#include "([^"]+)"', file.read_text(), re.MULTILINE):
        found |= included(file.parent / name)
    return found


class Chip:
    """Room for values, and kernels by name."""

    def __init__(self, device):
        self.device = torch.device(device)
        self.launched = set()
        self.poisons = False
        self.fences = []

    def room(self, dtype, values):
        """So many values, which are anything: where it `poisons`, NaNs with a fence behind them."""
        if not self.poisons:
            return torch.empty(values, dtype=dtype, device=self.device)
        size = values * torch.empty(0, dtype=dtype).element_size()
        size += -size % 16
        memory = torch.full((size + FENCE,), 0xFF, dtype=torch.uint8, device=self.device)
        self.fences.append(memory[size:])
        return memory[:size].view(dtype)[:values]

    def check_fences(self):
        """Raises if a kernel wrote behind a buffer since the last call."""
        broken = [fence for fence in self.fences if not bool((fence == 0xFF).all())]
        self.fences = []
        if broken:
            raise AssertionError("a kernel wrote behind the end of a buffer")

    def launch(self, kernel, grid, threads, shared, outs, ins, maps=(), **fields):
        """Starts a kernel: its arguments are the buffers written, the buffers read, tensor maps and the parameters."""
        if min(grid) < 1 or grid[1] > 65_535 or grid[2] > 65_535:
            raise AssertionError(f"{kernel}: a grid of {grid}")
        buffers = [*outs, *ins]
        absent = sum(1 << at for at, buffer in enumerate(buffers) if buffer is None)
        self.launched.add(kernel)
        addresses = [0 if buffer is None else buffer.data_ptr() for buffer in buffers]
        self.start(kernel, grid, threads, shared, addresses, maps, Params(absent=absent, **fields))


class TensorMap(ctypes.Structure):
    """Where the bulk copies of a factor come from: the emulator's, in words; of the GPU, as its driver writes it."""

    _fields_ = [("address", ctypes.c_uint64), ("width", ctypes.c_uint64), ("rows", ctypes.c_uint64), ("stride", ctypes.c_uint64),
                ("box_width", ctypes.c_uint32), ("box_rows", ctypes.c_uint32), ("woven", ctypes.c_uint64), ("rest", ctypes.c_uint64 * 10)]  # fmt: skip


class Emulated(Chip):
    """Kernels compiled by the C++ compiler, every thread a fiber."""

    name, capability, multiprocessors = "emulated on this processor", (9, 0), 3

    def __init__(self, cache, reverse=False, defines=()):
        super().__init__("cpu")
        self.reverse = reverse
        words = ["-std=c++17", "-O2", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas",
                 "-Wno-unused-parameter", *(f"-D{define}" for define in defines)]  # fmt: skip
        file = pathlib.Path(cache) / f"emulated-{fingerprint(files_of(KERNELS, EMULATION, WORDS), words)}.so"
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            part = file.with_suffix(f".{os.getpid()}.part")
            compiler = os.environ.get("CXX", "c++")
            subprocess.run([compiler, *words, "-I", WORDS, EMULATION / "kernels.cpp", "-o", part], check=True)
            part.rename(file)
        self.library = ctypes.CDLL(str(file))
        self.kernels = names_in(file.read_bytes())

    def map(self, tensor, rows, stride, box_rows, box_width=64):
        return TensorMap(tensor.data_ptr(), stride, rows, stride, box_width, box_rows)

    def woven_map(self, tensor, rows, stride):
        """The same for boxes of 256 whole lines in the order that the kernels weave; the emulator knows the order itself."""
        return TensorMap(tensor.data_ptr(), stride, rows, stride, 64, 256, 1)

    def start(self, kernel, grid, threads, shared, addresses, maps, params):
        entry = ctypes.cast(getattr(self.library, kernel), ctypes.c_void_p)
        addresses = [*addresses, *(ctypes.addressof(m) for m in maps)]
        buffers = (ctypes.c_void_p * len(addresses))(*addresses)
        status = self.library.npair_launch(
            entry, (ctypes.c_uint32 * 3)(*grid), ctypes.c_uint32(threads), ctypes.c_uint32(shared), buffers,
            ctypes.c_uint32(len(addresses)), ctypes.byref(params), ctypes.c_int(self.reverse),
        )  # fmt: skip
        if status:
            raise RuntimeError(f"{kernel}: the emulator takes no {len(addresses)} buffers")


# Numbers of the driver's interface.
MULTIPROCESSORS, SHARED_MEMORY_OF_A_FUNCTION = 16, 8
TYPE_F16, TYPE_BF16, SWIZZLE_128, PROMOTE_L2_256 = 6, 9, 3, 3


class Gpu(Chip):
    """Kernels compiled by nvcc, started through the driver on PyTorch's stream."""

    def __init__(self, cache, defines=()):
        super().__init__("cuda")
        torch.cuda.init()
        torch.zeros(1, device="cuda")  # makes the context
        self.name = torch.cuda.get_device_name()
        self.capability = torch.cuda.get_device_capability()
        self.multiprocessors = torch.cuda.get_device_properties(0).multi_processor_count
        self.driver = ctypes.CDLL("libcuda.so.1")
        self.modules, self.functions, self.kernels = [], {}, set()
        for source in SOURCES:
            if (KERNELS / f"{source}.cu").is_file() and not (source == "hopper" and self.capability != (9, 0)):
                self.load(compiled(source, self.capability, cache, defines))

    def ask(self, function, *arguments):
        status = getattr(self.driver, function)(*arguments)
        if status:
            raise RuntimeError(f"{function}: CUDA error {status}")

    def load(self, image):
        module = ctypes.c_void_p()
        self.ask("cuModuleLoadData", ctypes.byref(module), image)
        self.modules.append(module)
        for name in names_in(image):
            function = ctypes.c_void_p()
            self.ask("cuModuleGetFunction", ctypes.byref(function), module, name.encode())
            self.functions[name] = function
            self.kernels.add(name)

    def map(self, tensor, rows, stride, box_rows, box_width=64):
        """A tensor map of (rows, stride) values of 16 bits, copied in boxes whose lines are swizzled over 128 bytes."""
        return self.encoded(tensor, [stride, rows], [2 * stride], [box_width, box_rows])

    def woven_map(self, tensor, rows, stride):
        """The same for boxes of 256 whole lines, of every 32 line 8 q + 2 t + c being row 8 t + 2 q + c."""
        line = 2 * stride
        return self.encoded(tensor, [stride, 2, 4, 4, max(rows // 32, 1)], [line, 8 * line, 2 * line, 32 * line], [64, 2, 4, 4, 8])

    def encoded(self, tensor, sizes, strides, box):
        found = (ctypes.c_uint8 * 256)()
        at = (ctypes.addressof(found) + 127) // 128 * 128 - ctypes.addressof(found)
        tensor_map = (ctypes.c_uint8 * 128).from_buffer(found, at)
        kind, rank = TYPE_BF16 if tensor.dtype == torch.bfloat16 else TYPE_F16, len(sizes)
        self.ask(
            "cuTensorMapEncodeTiled", tensor_map, ctypes.c_int(kind), ctypes.c_uint32(rank), ctypes.c_void_p(tensor.data_ptr()),
            (ctypes.c_uint64 * rank)(*sizes), (ctypes.c_uint64 * (rank - 1))(*strides), (ctypes.c_uint32 * rank)(*box),
            (ctypes.c_uint32 * rank)(*[1] * rank), ctypes.c_int(0), ctypes.c_int(SWIZZLE_128), ctypes.c_int(PROMOTE_L2_256), ctypes.c_int(0),
        )  # fmt: skip
        return tensor_map

    def start(self, kernel, grid, threads, shared, addresses, maps, params):
        function = self.functions[kernel]
        if shared > 48 << 10:
            self.ask("cuFuncSetAttribute", function, ctypes.c_int(SHARED_MEMORY_OF_A_FUNCTION), ctypes.c_int(shared))
        held = [*(ctypes.c_uint64(address) for address in addresses), *maps, params]
        pointers = (ctypes.c_void_p * len(held))(*(ctypes.addressof(value) for value in held))
        stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
        x, y, z = (ctypes.c_uint32(n) for n in grid)
        self.ask(
            "cuLaunchKernel", function, x, y, z, ctypes.c_uint32(threads), ctypes.c_uint32(1), ctypes.c_uint32(1),
            ctypes.c_uint32(shared), stream, pointers, None,
        )  # fmt: skip


def names_in(image):
    """Kernels that a library or a cubin holds."""
    return {name.decode() for name in re.findall(rb"(?<![\w.])(?:\.text\.)?(npair_[a-z0-9_]+)\0", image)} - {"npair_launch"}


def compiled(source, capability, cache, defines=()):
    """The cubin of a source for that GPU, by nvcc, unless the cache has it."""
    number = f"{capability[0]}{capability[1]}" + ("a" if capability[0] == 9 else "")
    words = ["-std=c++17", "-O3", "-cubin", "-gencode", f"arch=compute_{number},code=sm_{number}"]
    if source == "hopper":  # the others know no such words, and take a minute each
        words += [f"-D{define}" for define in defines]
    file = pathlib.Path(cache) / f"{source}-{fingerprint(included(KERNELS / f'{source}.cu'), words)}.cubin"
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(f".{os.getpid()}.part")
        subprocess.run([os.environ.get("NVCC", "nvcc"), *words, KERNELS / f"{source}.cu", "-o", part], check=True)
        part.rename(file)
    return file.read_bytes()
