"""The conversation with `cargo xtask bench --peers`: one request a line on standard input, one JSON object a line back.

    step     {"ms": 83.1}          one timed training step
    embed    {"ms": 27.0}          one timed evaluation
    quit

The first line of all says what was built. Requests that cannot be met are answered with {"error": "..."}. Memory is read by
the driver, from outside and the same way for both sides.
"""

import json
import sys
import time


def say(**what):
    print(json.dumps(what), flush=True)


def milliseconds(work):
    start = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - start)


def serve(work):
    """Answers until there is nothing more to read; `work` maps a request to what is timed."""
    for line in sys.stdin:
        request = line.strip()
        if request == "quit":
            return
        if request in work:
            say(ms=milliseconds(work[request]))
        else:
            say(error=f"unknown request {request!r}; known are {', '.join(work)}, quit")
