"""What JAX will compute on here, told from files in a moment: JAX itself takes seconds to say."""

import os
import re
from importlib import metadata
from pathlib import Path

GPUS = Path("/proc/driver/nvidia/gpus")
TPUS = Path("/dev")
PLUGINS = ("jax-cuda13-plugin", "jax-cuda12-plugin")


def device() -> str:
    """`NVIDIA H200`, `4 x NVIDIA L4`, `TPU` or `cpu, 16 cores`, with a reason where one is idle."""
    asked = os.environ.get("JAX_PLATFORMS", "").split(",")[0].lower()
    cpu, found = f"cpu, {cores()} cores", visible(gpus())
    if asked == "cpu":
        return f"{cpu} (JAX_PLATFORMS)"
    if found:
        what = found[0] if len(found) == 1 else f"{len(found)} x {found[0]}"
        if any(map(installed, PLUGINS)):
            return what
        return f"{cpu} ({what} is not used: pip install 'jax[cuda13]')"
    if installed("libtpu") and any(TPUS.glob("accel*")):
        return "TPU"
    return cpu


def gpus() -> list[str]:
    """The models of NVIDIA's devices, as their driver tells them."""
    names = []
    for path in sorted(GPUS.glob("*/information")):
        model = re.search(r"^Model:\s*(.+?)\s*$", path.read_text(errors="replace"), re.MULTILINE)
        names.append(model[1] if model else "NVIDIA GPU")
    return names


def visible(names: list[str]) -> list[str]:
    """Those that CUDA_VISIBLE_DEVICES leaves; it counts until one that is not there."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is None:
        return names
    kept = []
    for entry in allowed.split(","):
        if entry.strip().isdigit() and int(entry) < len(names):
            kept.append(names[int(entry)])
        elif entry.strip().startswith(("GPU-", "MIG-")) and names:
            kept.append(names[0])
        else:
            break
    return kept


def cores() -> int:
    """Those that this process may use."""
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable else os.cpu_count() or 1


def installed(package: str) -> bool:
    """Whether a package is there, without importing it."""
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True
