"""Every tutorial runs from beginning to end, in a folder of its own, as a reader would run it."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.stem for path in HERE.glob("[a-z]_*.py")))
def test_it_runs(name, tmp_path):
    done = subprocess.run(
        [sys.executable, HERE / f"{name}.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "Traceback" not in done.stderr
