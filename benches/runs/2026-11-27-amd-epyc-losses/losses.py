"""Every loss on a set of pictures: the same network, pictures, changes, steps and examples a step; its rate by the same rule.

    python losses.py NPAIR DATA OUT --steps 200 --finalists 5 --longer 1000

First all losses at each rate for `steps` steps, judged on the validation classes; then the best at their better rate for `longer` steps,
judged on the test classes too. Losses of two examples a class have 64 classes of 2, the others 32 of 4. A line of JSON per run, and a run
that is there is not done again.
"""
import argparse, json, pathlib, shutil, subprocess

# What has no usual value.
GIVEN = {"triplet-margin": ["loss.margin=0.2"], "contrastive": ["loss.margin=1.0"]}

LOSSES = """n-pair-mc n-pair-mc-symmetric n-pair-ovo triplet triplet-margin triplet-margin-free tuplet contrastive nca-style
multi-positive-n-pair softmax lifted-structure generalized-lifted-structure histogram angular tuplet-margin batch-hard-triplet
batch-hard-triplet-soft batch-all-triplet pairwise-contrastive fast-ap smooth-ap ranked-list multi-similarity circle nt-xent sup-con
sphere-face cos-face arc-face sub-center-arc-face normalized-softmax proxy-nca proxy-anchor soft-triple margin sig-lip""".split()

def run(args, loss, rate, steps, judged, batch=(32, 4)):
    folder = args.out / f"{loss}-{rate}-{steps}"
    shutil.rmtree(folder, ignore_errors=True)
    command = [args.npair, "train", "--threads", "1", "--data", args.data, "--out", folder, "--seed", str(args.seed), "--json"]
    for pair in (f"loss.name={loss}", f"optimizer.learning_rate={rate}", f"training.steps={steps}", f"batch.classes={batch[0]}",
                 f"batch.per_class={batch[1]}", f"training.eval_every={steps}"):
        command += ["--set", pair]
    for pair in GIVEN.get(loss, []):
        command += ["--set", pair]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        # Every query of the tuplet loss has negatives of its own: 11 queries are 121 examples.
        if batch == (32, 4) and done.returncode == 2 and loss == "tuplet":
            return run(args, loss, rate, steps, judged, (11, 2))
        if batch == (32, 4) and done.returncode == 2:
            return run(args, loss, rate, steps, judged, (64, 2))
        return {"loss": loss, "rate": rate, "steps": steps, "failed": done.stderr.strip().splitlines()[-1:]}
    found = {"loss": loss, "rate": rate, "steps": steps, "batch": batch, "val": json.loads(done.stdout.splitlines()[-1])["best"]}
    if judged:
        text = subprocess.run([args.npair, "eval", folder, "--threads", "1", "--no-baselines", "--json"], capture_output=True, text=True).stdout
        found["test"] = json.loads(text.splitlines()[-1]) if text else None
    shutil.rmtree(folder)
    return found

args = argparse.ArgumentParser()
args.add_argument("npair"); args.add_argument("data"); args.add_argument("out", type=pathlib.Path)
args.add_argument("--steps", type=int, default=200); args.add_argument("--longer", type=int, default=1000)
args.add_argument("--finalists", type=int, default=5); args.add_argument("--seed", type=int, default=1)
args.add_argument("--rates", type=float, nargs="+", default=[0.001, 0.003])
args = args.parse_args()
args.out.mkdir(parents=True, exist_ok=True)
record = args.out / "runs.jsonl"
def known():
    return [json.loads(l) for l in record.read_text().splitlines()] if record.exists() else []
def once(loss, rate, steps, judged=False):
    for row in known():
        if (row["loss"], row["rate"], row["steps"]) == (loss, rate, steps): return row
    row = run(args, loss, rate, steps, judged)
    with record.open("a") as f: f.write(json.dumps(row) + "\n")
    return row
for rate in args.rates:
    for loss in LOSSES: once(loss, rate, args.steps)
best = {}
for row in known():
    if row["steps"] == args.steps and "val" in row and row["val"] > best.get(row["loss"], (-1,))[0]:
        best[row["loss"]] = (row["val"], row["rate"])
order = sorted(best, key=lambda l: -best[l][0])
for loss in dict.fromkeys(order[:args.finalists] + ["multi-similarity", "n-pair-mc"]):
    once(loss, best[loss][1], args.longer, True)
