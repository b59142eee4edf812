"""Options of `epistax completion`."""

from dataclasses import dataclass
from typing import ClassVar

from epistax.distributed.flags import option
from epistax.distributed.options.shared import Options


@dataclass(frozen=True, kw_only=True)
class Completion(Options):
    """Print what makes a shell complete verbs, options and their values."""

    verb: ClassVar[str] = "completion"
    example: ClassVar[str] = "epistax completion bash > ~/.epistax-completion.bash"

    shell: str = option(
        ...,
        "the shell: {choices}; source what is printed in its start-up file",
        choices=("bash", "zsh", "fish"),
        metavar="SHELL",
        positional=True,
    )
