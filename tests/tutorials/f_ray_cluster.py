"""The same run on one core, on two processes and on Ray: the same bytes.

    python f_ray_cluster.py

`--ray local` starts a private Ray on this machine; `--ray auto` joins the cluster that this machine
is part of, `--ray HOST:PORT` another. `epistax submit -- score ...` hands the whole run to a
cluster as a job.
"""

import hashlib
from pathlib import Path

from shell import epistax


def main():
    """Worker processes import this file anew: what runs stands in here, not at its top."""
    epistax("simulate disjointness --seed 2 --out screen")
    # Bits depend on the cores of a worker, and on nothing else of where the work runs.
    score = "score screen/data.npz --test additive --test mmd --cores 1 --quiet"
    epistax(f"{score} --out inline")
    epistax(f"{score} --executor process --workers 2 --out processes")
    epistax(f"{score} --ray local --workers 2 --out ray")

    print({folder: checksum(folder)[:16] for folder in ("inline", "processes", "ray")})
    assert checksum("inline") == checksum("processes") == checksum("ray")

    # Is every shard whole? How far is a run? (These work while it runs, and after a crash.)
    epistax("verify ray")
    epistax("status ray")


def checksum(folder):
    """Of the table of scores."""
    return hashlib.sha256(Path(folder, "scores.parquet").read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
