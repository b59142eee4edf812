"""Send a run to a Ray cluster as a job: the wheel goes along, logs come back, and the exit code.

The cluster brings the libraries; ours goes in a wheel that names no requirements, so that nothing
is fetched there. The job runs in the same folder as here: data and --out are on storage that both
sides see.
"""

import asyncio
import base64
import hashlib
import importlib
import importlib.metadata
import os
import shlex
import signal
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from epistax.distributed.errors import BadInput, Stopped
from epistax.distributed.flags import specs
from epistax.distributed.joining import REFUSED, authorise, listens
from epistax.distributed.options import VERBS, Submit

GRACE = 60  # seconds between a job's SIGTERM and its SIGKILL; Ray's own 3 are few
PACKAGES = ("engine", "distributed", "benchmarks")


def submit(options: Submit) -> dict[str, Any]:
    """Send the job, follow it to its end, and say what became of it."""
    entry = entrypoint(options)
    address = options.address
    where = urlsplit(address)
    if where.scheme not in ("http", "https") or not where.hostname:
        raise BadInput(f"--address: {address!r} is not http://HOST:PORT, such as that of port 8265")
    listens("--address", where.hostname, where.port or 8265)
    authorise("auto")
    try:
        from ray import exceptions
        from ray.job_submission import JobSubmissionClient
    except ImportError as error:
        raise BadInput(
            f"submit needs Ray's own client of jobs ({error}): pip install 'ray[default]'"
        ) from None
    with tempfile.TemporaryDirectory() as folder:
        wheel = Path(options.wheel) if options.wheel else build(Path(folder))
        if not wheel.is_file():
            raise BadInput(f"--wheel: {wheel}: no such file")
        environment = {
            "py_modules": [str(wheel)],
            "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(GRACE)},
        }
        try:
            client = JobSubmissionClient(address)
            job = client.submit_job(entrypoint=entry, runtime_env=environment)
        except exceptions.AuthenticationError:
            raise BadInput(f"--address: {address}: {REFUSED}") from None
        except (ConnectionError, RuntimeError) as error:
            text = " ".join(str(error).split())
            why = REFUSED if "401" in text or "403" in text else text
            raise BadInput(f"--address: {address}: {why}") from None
    print(f"submit: job {job}", file=sys.stderr)
    return follow(client, job, quiet=options.quiet)


def entrypoint(options: Submit) -> str:
    """The command that the job runs."""
    words = list(options.words)
    able = [name for name, cls in VERBS.items() if "ray" in specs(cls) and name != "submit"]
    if not any(words[: len(name.split())] == name.split() for name in able):
        raise BadInput(f"VERB: {words[0]!r} does not run on a cluster; {', '.join(able)} can")
    if not {"--ray", "--executor"} & {word.partition("=")[0] for word in words}:
        words += ["--ray", "auto"]
    command = shlex.join(["python", "-P", "-m", "epistax.cli", *words])
    return f"cd {shlex.quote(os.getcwd())} && exec {command}"


def follow(client: Any, job: str, *, quiet: bool) -> dict[str, Any]:
    """Print what the job prints; a signal here stops it there, and it can go on with --resume."""

    async def tail() -> None:
        async for text in client.tail_job_logs(job):
            if not quiet:
                print(text, end="", file=sys.stderr, flush=True)

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        asyncio.run(tail())
    except KeyboardInterrupt:
        client.stop_job(job)
        raise Stopped(
            f"job {job} was asked to stop; the same command with --resume goes on"
        ) from None
    finally:
        signal.signal(signal.SIGTERM, before)
    info = client.get_job_info(job)
    code = info.driver_exit_code
    if code is None:
        code = 0 if str(info.status) == "SUCCEEDED" else 1
    return {"job": job, "status": str(info.status.value), "exit_code": int(code)}


def build(folder: Path) -> Path:
    """A wheel of the epistax that runs here, wherever it came from."""
    version = importlib.metadata.version("epistax")
    info = f"epistax-{version}.dist-info"
    files = {"epistax/cli.py": Path(importlib.import_module("epistax.cli").__file__ or "")}
    for name in PACKAGES:
        root = Path(next(iter(importlib.import_module(f"epistax.{name}").__path__)))
        for path in sorted(root.rglob("*")):
            if path.is_file() and path.suffix != ".pyc" and "results" not in path.parts:
                files[f"epistax/{name}/{path.relative_to(root).as_posix()}"] = path
    content = {name: path.read_bytes() for name, path in files.items()}
    content |= {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: epistax\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: epistax\nRoot-Is-Purelib: true\n"
        b"Tag: py3-none-any\n",
    }
    record = [
        f"{name},sha256={digest(data)},{len(data)}\n" for name, data in sorted(content.items())
    ]
    content[f"{info}/RECORD"] = ("".join(record) + f"{info}/RECORD,,\n").encode()
    wheel = folder / f"epistax-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(content.items()):
            archive.writestr(
                zipfile.ZipInfo(name), data
            )  # no clock: the same files, the same wheel
    return wheel


def digest(data: bytes) -> str:
    """As RECORD writes it."""
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
