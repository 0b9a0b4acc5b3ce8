"""Loading by npair and by torchvision in turn: `python loader_rounds.py LOADER_PEER FOLDER --rounds 15`, where LOADER_PEER is the
built program of npair-benches and FOLDER was made by `loader.py --make`.

Prints what was measured as one JSON object: both sides' milliseconds in every round, and of each request the pictures a second
and the median, least and most of the rounds' ratios (npair's time over the peer's). Times are those that the side's only thread was
on a core (`/proc/PID/schedstat`), so that other programs on the machine take less part in them; `wall` has the clock's.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

REQUESTS = ("decode", "evaluate", "crops", "strong")


class Side:
    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ready = json.loads(self.process.stdout.readline())

    def on_core(self):
        return int(pathlib.Path(f"/proc/{self.process.pid}/schedstat").read_text().split()[0]) / 1e6

    def ask(self, request):
        """Milliseconds on a core, and by the clock."""
        before = self.on_core()
        print(request, file=self.process.stdin, flush=True)
        wall = json.loads(self.process.stdout.readline())["ms"]
        return self.on_core() - before, wall

    def end(self):
        self.process.communicate("quit\n")


def summary(ours, theirs, pictures):
    ratios = [a / b for a, b in zip(ours, theirs)]
    speed = {name: round(1e3 * pictures / statistics.median(times), 1) for name, times in (("npair", ours), ("peer", theirs))}
    return {
        "images_per_second": speed,
        "ratio": {
            "median": round(statistics.median(ratios), 3), "least": round(min(ratios), 3), "most": round(max(ratios), 3),
            "of_least_times": round(min(ours) / min(theirs), 3),
        },
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ours")
    parser.add_argument("folder")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--peer-python", default=sys.executable)
    args = parser.parse_args()
    script = str(pathlib.Path(__file__).with_name("loader.py"))
    ours, theirs = Side([args.ours, args.folder]), Side([args.peer_python, script, args.folder])
    assert ours.ready["pictures"] == theirs.ready["pictures"]
    times, wall = ({request: {"ours": [], "theirs": []} for request in REQUESTS} for _ in range(2))
    # The first round is a warm-up.
    for number in range(args.rounds + 1):
        for request in REQUESTS:
            pair = ours.ask(request), theirs.ask(request)
            if number:
                for side, (on_core, by_clock) in zip(("ours", "theirs"), pair):
                    times[request][side].append(round(on_core, 3))
                    wall[request][side].append(round(by_clock, 3))
    ours.end(), theirs.end()
    found = {r: summary(t["ours"], t["theirs"], ours.ready["pictures"]) for r, t in times.items()}
    print(json.dumps({"ours": ours.ready, "theirs": theirs.ready, "found": found, "times": times, "wall": wall}))


if __name__ == "__main__":
    main()
