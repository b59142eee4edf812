from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from epistax.cli import main


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write text or bytes under a name and give the path."""

    def put(content: str | bytes, name: str = "pairs.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return put


@pytest.fixture
def refused(capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run `check` on what it must refuse, and give the one line that it says."""

    def check(path: Path, *words: str) -> str:
        code = main(["check", str(path), *words])
        out, error = capfd.readouterr()
        assert code == 2, error
        assert error.count("\n") == 1, error
        assert "Traceback" not in error and not out
        assert error.startswith("epistax check: ")
        return error

    return check


@pytest.fixture
def private(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """No token of the tests in anybody's home, no cluster of anybody's joined."""
    home = tmp_path_factory.mktemp("home")
    for name in ("RAY_ADDRESS", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    yield
    assert not (home / ".ray").exists()
