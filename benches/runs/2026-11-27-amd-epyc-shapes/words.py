"""Words of two Omniglot characters side by side, 210 x 105: 500 classes of 10 drawings."""
import sys, zipfile, io, random, pathlib
from PIL import Image
src, out = sys.argv[1], pathlib.Path(sys.argv[2])
z = zipfile.ZipFile(src); files = {}
for n in z.namelist():
    if n.endswith(".png"):
        p = n.split("/"); files.setdefault("/".join(p[1:-1]), []).append(n)
chars = sorted(files); rng = random.Random(1); made = set()
while len(made) < 500:
    a, b = rng.sample(chars, 2)
    if (a, b) in made: continue
    made.add((a, b)); d = out / f"w{len(made):03}"; d.mkdir(parents=True)
    for i in range(10):
        pics = [Image.open(io.BytesIO(z.read(sorted(files[c])[i]))).convert("L") for c in (a, b)]
        w = Image.new("L", (210, 105), 255); w.paste(pics[0], (0, 0)); w.paste(pics[1], (105, 0)); w.save(d / f"{i}.png")
