"""The plan's settings at several rates and lengths: validation and test recall@1, a line of JSON per run."""
import json, pathlib, shutil, subprocess, sys
npair, out = sys.argv[1], pathlib.Path(sys.argv[2]); out.mkdir(exist_ok=True)
record = out/"runs.jsonl"
SETS = {"emoji": "emoji", "kanji": "kanji", "omniglot": sys.argv[3]}
JOBS = [(s, st, r) for s, st in [("emoji", 600), ("kanji", 600), ("omniglot", 600), ("emoji", 3000), ("kanji", 2000), ("omniglot", 2000)] for r in (0.001, 0.002, 0.004)]
known = {tuple(json.loads(l)["job"]) for l in record.read_text().splitlines()} if record.exists() else set()
for job in JOBS:
    if tuple(job) in known: continue
    name, steps, rate = job
    folder = out/f"{name}-{steps}-{rate}"; shutil.rmtree(folder, ignore_errors=True)
    done = subprocess.run([npair, "train", "--threads", "1", "--data", SETS[name], "--out", str(folder), "--seed", "1", "--json", "--set", f"optimizer.learning_rate={rate}", "--set", f"training.steps={steps}"], capture_output=True, text=True)
    row = {"job": job}
    if done.returncode: row["failed"] = done.stderr[-300:]
    else:
        row["val"] = json.loads(done.stdout.splitlines()[-1])
        t = subprocess.run([npair, "eval", str(folder), "--threads", "1", "--no-baselines", "--json"], capture_output=True, text=True).stdout
        row["test"] = json.loads(t.splitlines()[-1]) if t else None
    with record.open("a") as f: f.write(json.dumps(row)+"\n")
    shutil.rmtree(folder, ignore_errors=True)
