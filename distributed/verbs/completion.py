"""`epistax completion`: a script for the shell."""

from collections.abc import Mapping
from typing import Any

from epistax.distributed import completion
from epistax.distributed.options import VERBS
from epistax.distributed.options.completion import Completion


def run(options: Completion) -> dict[str, Any]:
    """The script, made from the options of every verb."""
    return {"shell": options.shell, "script": completion.SHELLS[options.shell](VERBS)}


def describe(summary: Mapping[str, Any]) -> str:
    """The script alone."""
    return str(summary["script"]).rstrip()
