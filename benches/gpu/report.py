"""What was found: printed as it comes, kept as JSON after every line, a short table last."""

import json
import pathlib
import time


class Report:
    def __init__(self, folder):
        self.started, self.rows, self.notes, self.failures = time.time(), [], {}, []
        self.file = None if folder is None else pathlib.Path(folder) / "harness.json"

    def say(self, line):
        print(f"[{time.time() - self.started:6.1f} s] {line}", flush=True)

    def note(self, name, value):
        self.notes[name] = value
        self.say(f"{name}: {value}")
        self.save()

    def failed(self, what):
        self.failures.append(what)
        self.say(f"FAILED {what}")
        self.save()

    def measured(self, work, who, ms, flops=None, note=""):
        rate = None if flops is None else flops / ms / 1e9
        self.rows.append(dict(work=work, who=who, ms=ms, tflops=rate, note=note))
        self.say(f"{work:58} {who:24} {ms:11.3f} ms" + ("" if rate is None else f" {rate:7.1f} TFLOP/s") + f" {note}")
        self.save()

    def not_taken(self, work, who, why):
        why = (str(why) or type(why).__name__).splitlines()[0][:160]
        self.rows.append(dict(work=work, who=who, ms=None, tflops=None, note=f"not taken: {why}"))
        self.say(f"{work:58} {who:24} not taken: {why}")
        self.save()

    def save(self):
        if self.file is not None:
            text = json.dumps(dict(notes=self.notes, rows=self.rows, failures=self.failures), indent=1)
            part = self.file.with_suffix(".part")
            part.write_text(text)
            part.rename(self.file)

    def table(self):
        """Every work in a line or more: who took how long, and that over the best of ours."""
        print("\n" + "-" * 118)
        ours = {}
        for row in self.rows:
            if row["ms"] is not None and row["who"].startswith("npair"):
                ours[row["work"]] = min(row["ms"], ours.get(row["work"], row["ms"]))
        for row in self.rows:
            if row["ms"] is None:
                print(f"{row['work']:58} {row['who']:24} {row['note']}")
                continue
            rate = "" if row["tflops"] is None else f"{row['tflops']:7.1f} TFLOP/s"
            own = ours.get(row["work"])
            ratio = f"npair/it {own / row['ms']:5.2f}" if own and not row["who"].startswith("npair") else ""
            print(f"{row['work']:58} {row['who']:24} {row['ms']:11.3f} ms {rate:16} {ratio}")
        for failure in self.failures:
            print(f"FAILED {failure}")
        print(f"{len(self.failures)} failures", flush=True)
