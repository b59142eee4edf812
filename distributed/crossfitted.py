"""Train cross-fitted members in a run directory: shown, logged, and resumed where it stopped."""

from typing import Any

import jax

from epistax.distributed import accelerators
from epistax.distributed.errors import BadInput
from epistax.distributed.hooks import Checkpoint, EventLog, Watch
from epistax.distributed.progress import Progress
from epistax.distributed.rundir import RunDir
from epistax.engine.interaction import crossfit
from epistax.engine.interaction.critic import Critic
from epistax.engine.interaction.crossfit import Outcome, Training
from epistax.engine.interaction.folding import Folds


def members(
    run: RunDir,
    name: str,
    keys: Any,
    critic: Critic,
    data: Folds,
    training: Training,
    *,
    image: bool,
    quiet: bool,
    show: str = "held_loss",
    remedy: str = "",
) -> tuple[Outcome, EventLog]:
    """The members, whose newest states are kept in the folder `name`, and what was seen of them.

    show is the figure that progress tells of held-out observations; remedy goes into the complaint
    about a loss that is no number.
    """
    title = f"{name} of {len(data.members):,} classes"
    with Progress(title, quiet=quiet) as progress, Checkpoint(run.folder(name)) as kept:
        begun, state = kept.restore(crossfit.begin(keys, critic, data, training))
        progress.start(training.steps, done=begun)
        log = EventLog(run.path / f"{name}.jsonl")
        outcome = crossfit.train(
            keys,
            critic,
            data,
            training,
            progress=(begun, jax.tree.map(jax.numpy.asarray, state)),
            hooks=[kept, log, Watch(progress, show)],
            # a convolution of several weights is slow on a CPU
            together=not image or jax.default_backend() != "cpu",
            mesh=accelerators.mesh(),
        )
    if outcome.diverged is not None:
        raise BadInput(
            f"the {name}'s loss was no number at step {outcome.diverged:,}{remedy}; its last good "
            f"state is in {run.path / name}"
        )
    return outcome, log
