"""What `fit` calls between chunks: hook(step, state, info) -> True to stop, else nothing.

The state a hook is shown is donated to the next chunk: `Checkpoint` copies it to the host before
it returns. Only steps that were committed whole are ever restored.
"""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from epistax.distributed.progress import Progress
from epistax.distributed.record import dumps


class Checkpoint:
    """Keep the newest states of a training in a folder. Use as a context manager.

    with Checkpoint(run.folder("checkpoint")) as checkpoint:
        start, state = checkpoint.restore(state)
        fit(key, step, state, data, steps=1000, start=start, hooks=[checkpoint])
    """

    def __init__(self, folder: Path, *, every: int = 1, keep: int = 2) -> None:
        """Save at the end of every so many chunks and keep so many steps."""
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, enable_async_checkpointing=False)
        self.manager = ocp.CheckpointManager(folder.resolve(), options=options)
        self.every, self.calls = every, 0

    def __call__(self, step: int, state: Any, info: Any) -> None:
        """Save; whole when this returns."""
        self.calls += 1
        if self.calls % self.every == 0 and step not in self.manager.all_steps():
            self.save(step, state)

    def save(self, step: int, state: Any) -> None:
        """Write one committed step."""
        self.manager.save(step, args=ocp.args.StandardSave(host(state)), force=True)
        self.manager.wait_until_finished()

    def restore(self, like: Any) -> tuple[int, Any]:
        """The newest committed step and its state, in the form of `like`; (0, like) if none."""
        step = self.manager.latest_step()
        if step is None:
            return 0, like
        form = jax.eval_shape(lambda: bare(like))
        found = self.manager.restore(step, args=ocp.args.StandardRestore(form))
        return step, jax.tree.map(typed, found, like)

    def __enter__(self) -> "Checkpoint":
        """Nothing to do."""
        return self

    def __exit__(self, *error: object) -> None:
        """Let go of the folder."""
        self.manager.close()


class EventLog:
    """One JSON line a chunk: the step and the last value of every number in info."""

    def __init__(self, path: Path) -> None:
        """Lines are appended; a resumed training goes on in the same file."""
        self.path = path

    def __call__(self, step: int, state: Any, info: Any) -> None:
        """Append a line."""
        line = dumps({"step": step, **last(info)}, indent=None)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def read(self) -> list[dict[str, Any]]:
        """All whole lines; a line torn by a kill is left out, and a repeated step counts once."""
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
        events: dict[int, dict[str, Any]] = {}
        for line in lines:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            events[event["step"]] = event
        return [events[step] for step in sorted(events)]


class Watch:
    """Show a training on a Progress started with the number of steps; of many seeds their mean."""

    def __init__(self, progress: Progress, name: str = "loss") -> None:
        """Name is the entry of info to show."""
        self.progress, self.name, self.step = progress, name, progress.done

    def __call__(self, step: int, state: Any, info: Any) -> None:
        """Count the steps since the last call."""
        values = last(info)
        note = f"{self.name} {np.mean(values[self.name]):.4g}" if self.name in values else ""
        self.progress.advance(step - self.step, note=note)
        self.step = step


def last(info: Any) -> dict[str, float | list[float]]:
    """The last step of each stacked entry, flat, by path; a vector of seeds gives a list."""
    leaves = jax.tree_util.tree_leaves_with_path(info)
    return {
        jax.tree_util.keystr(path, simple=True, separator="."): np.asarray(leaf)[-1].tolist()
        for path, leaf in leaves
    }


def host(state: Any) -> Any:
    """A copy that survives donation."""
    return jax.tree.map(np.array, bare(state))


def bare(state: Any) -> Any:
    """The state with random keys as their raw words, which a file can hold."""
    return jax.tree.map(lambda x: jax.random.key_data(x) if is_key(x) else x, state)


def typed(found: Any, like: Any) -> Any:
    """Raw words as keys again, where they were keys."""
    if is_key(like):
        return jax.random.wrap_key_data(found, impl=jax.random.key_impl(like))
    return found


def is_key(leaf: Any) -> bool:
    """Whether a leaf is a typed random key."""
    return isinstance(leaf, jax.Array) and jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key)
