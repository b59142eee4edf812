"""Before jax is imported: eight devices on the host, and no silent broadcasting across ranks."""

import os
import signal
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
).strip()
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# a program of eight devices holds eight threads; with no more of them what it waits for never runs
os.environ.setdefault("PJRT_NPROC", "24")

import jax
import pytest

# a shell starts background jobs with SIGINT ignored; the tests of signals send it to themselves
signal.signal(signal.SIGINT, signal.default_int_handler)
jax.config.update("jax_numpy_rank_promotion", "raise")
# eight devices on few cores: their programs, queued, can wait for one another's threads for ever
jax.config.update("jax_cpu_enable_async_dispatch", False)

# most of the time of small tests is compilation, of which LLVM's optimiser and the fusion emitters
# are two thirds; the programs stay the same (jaxlib 0.11 knows no other emitters)
QUICK = ["--xla_backend_optimization_level=0"]
if version("jaxlib").startswith("0.10."):
    QUICK.append("--xla_cpu_use_fusion_emitters=false")


def pytest_configure(config: pytest.Config) -> None:
    """Compile quickly, unless XLA_FLAGS says otherwise; `-m slow` compiles as for a user."""
    if config.option.markexpr != "slow":
        os.environ["XLA_FLAGS"] = " ".join([*QUICK, os.environ["XLA_FLAGS"]])


@pytest.fixture(autouse=True, scope="module")
def forget_compiled() -> Iterator[None]:
    """Free what a file compiled: the kernel allows a process so many memory maps, then XLA dies."""
    yield
    jax.clear_caches()


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The repository: here, or where EPISTAX_CHECKOUT says when the tests run beside a wheel."""
    root = Path(os.environ.get("EPISTAX_CHECKOUT", Path(__file__).parents[1]))
    if not (root / "pyproject.toml").is_file() or not (root / "engine").is_dir():
        pytest.skip("no checkout at hand: set EPISTAX_CHECKOUT")
    return root


@pytest.fixture(scope="session")
def shared_data(checkout: Path) -> Path:
    """Measured data sets, kept outside the repository."""
    default = checkout.parent / "shared" / "data"
    folder = Path(os.environ.get("EPISTAX_SHARED_DATA", default))
    if not folder.is_dir():
        pytest.skip("no measured data at hand: set EPISTAX_SHARED_DATA")
    return folder
