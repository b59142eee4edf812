"""What the tutorials share: a command line, shown and run."""

import shlex

from epistax.cli import main


def epistax(line):
    """`epistax LINE`, as typed in a shell; stops the tutorial if it does not end well."""
    print(f"\n$ epistax {line}", flush=True)
    code = main(shlex.split(line))
    if code:
        raise SystemExit(f"epistax {line.split()[0]} ended with exit code {code}")
