"""What --version says of the device, by files that stand for a machine's."""

import pytest

from epistax.distributed import machine


@pytest.fixture
def gpus(tmp_path, monkeypatch):
    """A machine of two NVIDIA devices, with JAX's plugin or without."""
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(machine, "GPUS", tmp_path)
    monkeypatch.setattr(machine, "installed", lambda name: name == "jax-cuda12-plugin")
    for k in (0, 1):
        (tmp_path / f"0000:0{k}:00.0").mkdir()
        text = f"Model: \t\t NVIDIA H200\nIRQ:   \t\t 2{k}\n"
        (tmp_path / f"0000:0{k}:00.0/information").write_text(text)
    return monkeypatch


def test_gpus_are_named_and_counted(gpus):
    assert machine.device() == "2 x NVIDIA H200"
    gpus.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert machine.device() == "NVIDIA H200"
    for hidden in ("", "-1", "7"):
        gpus.setenv("CUDA_VISIBLE_DEVICES", hidden)
        assert machine.device() == f"cpu, {machine.cores()} cores"


def test_a_gpu_that_jax_cannot_use_is_said(gpus):
    gpus.setattr(machine, "installed", lambda name: False)
    said = machine.device()
    assert said.startswith(f"cpu, {machine.cores()} cores (2 x NVIDIA H200 is not used: pip inst")


def test_the_environment_wins(gpus):
    gpus.setenv("JAX_PLATFORMS", "cpu")
    assert machine.device() == f"cpu, {machine.cores()} cores (JAX_PLATFORMS)"


def test_a_machine_without_any_is_a_cpu(gpus, tmp_path):
    gpus.setattr(machine, "GPUS", tmp_path / "none")
    gpus.setattr(machine, "TPUS", tmp_path)
    assert machine.device() == f"cpu, {machine.cores()} cores"
    (tmp_path / "accel0").touch()
    assert machine.device().startswith("cpu")
    gpus.setattr(machine, "installed", lambda name: name == "libtpu")
    assert machine.device() == "TPU"


def test_packages_are_looked_up_without_an_import():
    assert machine.installed("jax") and not machine.installed("no-such-package-of-ours")
