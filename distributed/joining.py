"""How a Ray cluster is joined: its token, its address, and what is said where it refuses."""

import contextlib
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from epistax.distributed.errors import BadInput

REACH = 5.0  # seconds to look whether anybody answers at an address
BEGIN = "start one with `ray start --head`"
REFUSED = (
    "the cluster refuses us; set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH to the file that "
    "holds its token"
)


def authorise(address: str) -> None:
    """Ray asks for a token where there is one; a cluster of our own gets one.

    It must be in place before Ray is imported. Left to itself, Ray writes the token of a local
    cluster to the home directory, for all to read.
    """
    named = os.environ.keys() & {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"}
    if address == "local" and not named:
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    if address == "local" or named or (Path.home() / ".ray" / "auth_token").is_file():
        os.environ.setdefault("RAY_AUTH_MODE", "token")


def join(address: str) -> int:
    """Join a cluster and count its cores; BadInput, within seconds, where that cannot be."""
    where = f"--ray: {address}"
    if address.startswith("ray://"):
        raise BadInput(
            f"{where}: a Ray client loses the run with its connection; give the cluster's own "
            "address (HOST:6379) from inside, or send the run there with epistax submit"
        )
    if address != "auto":
        answers(address)
    import ray
    from ray import exceptions

    if ray.is_initialized():
        raise BadInput(f"{where}: this process has joined a Ray cluster already")
    try:
        with handlers(), hushed():
            ray.init(address=address, log_to_driver=False, logging_level="error")
    except ConnectionError as error:
        why = f"no Ray cluster was found; {BEGIN}" if "not find" in str(error) else REFUSED
        raise BadInput(f"{where}: {why}") from None
    except exceptions.AuthenticationError:
        raise BadInput(f"{where}: {REFUSED}") from None
    except RuntimeError as error:
        text = " ".join(str(error).split())
        if "ersion mismatch" in text:
            raise BadInput(f"{where}: {text}; install the same on both sides") from None
        raise BadInput(f"{where}: {REFUSED if 'uthenticat' in text else text}") from None
    return int(ray.cluster_resources().get("CPU", 0))


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """Without Ray's native code on standard error, which repeats itself while it waits."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@contextlib.contextmanager
def handlers() -> Iterator[None]:
    """Ray sets handlers of its own; ours stay."""
    main = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGINT, signal.SIGTERM) if main else ()
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def answers(address: str) -> None:
    """Whether anybody listens there: Ray itself would ask for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise BadInput(f"--ray: {address!r} is not local, auto or HOST:PORT, such as head:6379")
    listens("--ray", host.strip("[]"), int(port))


def listens(flag: str, host: str, port: int) -> None:
    """BadInput where nobody does."""
    try:
        socket.create_connection((host, port), timeout=REACH).close()
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise BadInput(f"{flag}: no Ray answers at {host}:{port} ({why}); {BEGIN}") from None
