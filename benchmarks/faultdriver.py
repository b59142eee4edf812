"""A trial driven by a process of its own, which can be killed: `Trial.start` starts it."""

import json
import signal
import sys

from epistax.benchmarks.faultkernel import Trial


def main(words: str) -> int:
    """Run the trial; the exit code is what the command line would give."""
    from epistax.cli import interrupt
    from epistax.distributed.errors import BadInput, Stopped

    signal.signal(signal.SIGTERM, interrupt)
    try:
        Trial(**json.loads(words)).run()
    except (Stopped, KeyboardInterrupt) as stop:
        print(f"stopped: {stop}", flush=True)
        return 75
    except BadInput as problem:
        print(f"bad input: {problem}", flush=True)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
