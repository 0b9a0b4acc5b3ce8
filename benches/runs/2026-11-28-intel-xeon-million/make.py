"""Ten thousand small PNG files and tables of a hundred parts of each: a million pictures. `python make.py FOLDER`."""

import pathlib
import random
import struct
import sys
import zlib


def png(path, rows):
    """Rows of RGB bytes as a file."""
    def part(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", len(rows[0]) // 3, len(rows), 8, 2, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows), 6)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", data) + part(b"IEND", b""))


def picture(number, side=40):
    """Patches of four colours, and noise."""
    draw = random.Random(number)
    colours = [[draw.randrange(226) for _ in range(3)] for _ in range(4)]
    across, down = draw.randrange(8, 32), draw.randrange(8, 32)

    def pixel(x, y):
        colour = colours[(x >= across) + 2 * (y >= down)]
        return bytes(value + draw.randrange(30) for value in colour)

    return [b"".join(pixel(x, y) for x in range(side)) for y in range(side)]


def main():
    folder = pathlib.Path(sys.argv[1])
    (folder / "pictures").mkdir(parents=True)
    files = 10_000
    for number in range(files):
        png(folder / f"pictures/{number:05}.png", picture(number))
    # A part is 28 x 28 of 40 x 40: one of ten places across, one of ten down.
    for name, many in [("some", 200), ("100k", 1000), ("million", files)]:
        with open(folder / f"{name}.csv", "w") as table:
            table.write("label,path,x_1,x_2,y_1,y_2\n")
            for number in range(many):
                for at in range(100):
                    x, y = at % 10, at // 10
                    table.write(f"{number},pictures/{number:05}.png,{x},{x + 28},{y},{y + 28}\n")


main()
