"""Loading by torchvision's transforms with Pillow, timed on request: `python loader.py FOLDER`. A request is all pictures once on
one thread, from the file to a normalised float tensor of 3 x 224 x 224.

decode     to RGB alone
evaluate   shorter side to 256, the middle
crops      random resized crop of 30 % to all of the area, mirrored
strong     and colours jittered, one in ten grey

`--make` writes made-up photographs there first, the same ones each time.
"""

import argparse
import pathlib

import numpy as np
import PIL
import PIL.features
from PIL import Image

import protocol

PICTURES = 64


def photograph(rng):
    """About 500 x 375 pixels with the spectrum of photographs (amplitude 1/f) and some hard edges."""
    height, width = int(rng.integers(333, 420)), 500
    if rng.random() < 0.25:
        height, width = width, height
    frequency = np.hypot(*np.meshgrid(np.fft.rfftfreq(width), np.fft.fftfreq(height)))
    amplitude = 1 / np.maximum(frequency, 1 / 500)
    shared = rng.normal(size=(height, width))
    planes = []
    for _ in range(3):
        noise = 0.8 * shared + 0.4 * rng.normal(size=(height, width))
        plane = np.fft.irfft2(np.fft.rfft2(noise) * amplitude, s=(height, width))
        planes.append(127 + 50 * (plane - plane.mean()) / plane.std())
    pixels = np.stack(planes, axis=-1)
    for _ in range(8):
        left, top = rng.integers(0, width - 40), rng.integers(0, height - 40)
        wide, high = rng.integers(20, 160, size=2)
        pixels[top : top + high, left : left + wide] += rng.normal(scale=30, size=3)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def make(folder):
    rng = np.random.default_rng(20261127)
    for i in range(PICTURES):
        of_class = folder / str(i % 2)
        of_class.mkdir(parents=True, exist_ok=True)
        photograph(rng).save(of_class / f"{i:03}.jpg", quality=90)


def transforms(size):
    from torchvision import transforms as t

    flip, end = t.RandomHorizontalFlip(), [t.ToTensor(), t.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
    crop = t.RandomResizedCrop(size, scale=(0.3, 1.0))
    return {
        "decode": lambda picture: picture,
        "evaluate": t.Compose([t.Resize(size * 8 // 7), t.CenterCrop(size), *end]),
        "crops": t.Compose([crop, flip, *end]),
        "strong": t.Compose([crop, flip, t.ColorJitter(0.3, 0.3, 0.3, 0.05), t.RandomGrayscale(0.1), *end]),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--make", action="store_true")
    args = parser.parse_args()
    if args.make:
        make(args.folder)
        return
    import torch
    import torchvision

    torch.set_num_threads(1)
    torch.manual_seed(1)
    files = sorted(args.folder.glob("*/*.jpg"))

    def work(transform):
        def all_pictures():
            for file in files:
                with Image.open(file) as picture:
                    transform(picture.convert("RGB"))

        return all_pictures

    protocol.say(
        ready="loader", pictures=len(files), threads=torch.get_num_threads(),
        versions={
            "torchvision": torchvision.__version__, "pillow": PIL.__version__,
            "libjpeg-turbo": PIL.features.version_feature("libjpeg_turbo") or "not used",
        },
    )
    protocol.serve({name: work(transform) for name, transform in transforms(args.size).items()})


if __name__ == "__main__":
    main()
