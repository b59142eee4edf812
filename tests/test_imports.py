"""Who may import whom: mathematics stays free of the world."""

import ast
import builtins
import dis
import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import textwrap
import types
from pathlib import Path

import pytest

EVERYWHERE = set(sys.stdlib_module_names) | {
    "numpy",
    "scipy",
    "jax",
    "optax",
    "jaxtyping",
    "epistax",
}
ALSO = {"nets": {"flax"}, "posterior": {"numpyro"}}
# files, clocks, processes and printing belong to epistax.distributed
WORLD = {"os", "io", "sys", "time", "datetime", "pathlib", "logging", "subprocess", "threading"}
LOOPS = {"MCMC", "NUTS", "HMC"}  # numpyro gives programs, guides and ELBO; the loop is ours
ONLY_IN = {"ray": {"cluster.py", "joining.py", "submit.py", "worker.py"}, "orbax": {"hooks.py"}}
ABSENT = ("ray", "polars", "pandas", "pyarrow", "orbax", "matplotlib", "sklearn", "torch")


def violations(engine):
    """Imports and calls of engine files that the house forbids, as `file: what`."""
    found = []
    for path in sorted(engine.rglob("*.py")):
        place = path.relative_to(engine)
        allowed = (EVERYWHERE - WORLD) | ALSO.get(place.parts[0], set())
        for node in ast.walk(ast.parse(path.read_text())):
            tops = {name.split(".")[0] for name in imported(node)}
            found += [f"{place}: {top}" for top in sorted(tops - allowed)]
            if isinstance(node, ast.ImportFrom) and tops == {"numpyro"}:
                found += [f"{place}: {a.name}" for a in node.names if a.name in LOOPS]
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                found += [f"{place}: {node.func.id}()"] * (node.func.id in ("open", "print"))
    return found


def imported(node):
    """Absolute names that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [node.module if node.level == 0 else "a relative import"]
    return []


def test_the_engine_imports_what_the_house_allows(checkout):
    assert violations(checkout / "engine") == []


@pytest.mark.parametrize(
    "where, line, complaint",
    [
        ("rounds.py", "import polars as pl", "rounds.py: polars"),
        ("rounds.py", "def f():\n    from ray import get", "rounds.py: ray"),
        ("rounds.py", "import flax.linen as nn", "rounds.py: flax"),
        ("posterior/a.py", "import flax", "posterior/a.py: flax"),
        ("nets/a.py", "import numpyro", "nets/a.py: numpyro"),
        ("posterior/a.py", "from numpyro.infer import MCMC", "posterior/a.py: MCMC"),
        ("fit.py", "import time", "fit.py: time"),
        ("fit.py", "from .types import Key", "fit.py: a relative import"),
        ("fit.py", "print(1)", "fit.py: print()"),
        ("fit.py", "def f(p):\n    return open(p)", "fit.py: open()"),
    ],
)
def test_a_planted_violation_is_caught(where, line, complaint, tmp_path):
    file = tmp_path / where
    file.parent.mkdir(exist_ok=True)
    file.write_text("import jax\nimport math\n")
    assert violations(tmp_path) == []
    file.write_text(f"import jax\n{line}\n")
    assert violations(tmp_path) == [complaint]


def test_ray_and_orbax_have_one_door_each(checkout):
    files = [p for f in ("distributed", "benchmarks") for p in (checkout / f).rglob("*.py")]
    for path in [*files, checkout / "cli.py"]:
        names = {
            n.split(".")[0]
            for node in ast.walk(ast.parse(path.read_text()))
            for n in imported(node)
        }
        for package, doors in ONLY_IN.items():
            assert package not in names or path.name in doors, f"{path}: {package}"


@pytest.mark.parametrize("package", ["engine", "benchmarks"])
def test_it_imports_where_only_jax_flax_and_numpyro_are_installed(package):
    code = textwrap.dedent(f"""
        import importlib, pkgutil, sys
        class Absent:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] in {ABSENT!r}:
                    raise ModuleNotFoundError(name, name=name)
        sys.meta_path.insert(0, Absent())
        try:
            import polars
        except ModuleNotFoundError:
            pass
        else:
            raise SystemExit("the block does not block")
        package = importlib.import_module("epistax.{package}")
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            importlib.import_module(module.name)
            print(module.name)
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()


def lint(folder, tree):
    """Run import-linter with the configuration in folder on the packages in tree."""
    command = Path(sysconfig.get_path("scripts")) / "lint-imports"
    if not command.exists():
        pytest.skip("import-linter is not installed")
    return subprocess.run(
        [str(command), "--no-cache", "--config", str(folder / "pyproject.toml")],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(checkout, tmp_path):
    """The tree under another package name, so that the installed one is out of the way."""
    house = tmp_path / "house"
    for name in ("engine", "distributed", "benchmarks"):
        shutil.copytree(checkout / name, house / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(checkout / "pyproject.toml", tmp_path)
    for path in [*house.rglob("*.py"), tmp_path / "pyproject.toml"]:
        path.write_text(path.read_text().replace("epistax", "house"))
    return tmp_path


def test_the_layers_hold(copy):
    done = lint(copy, copy)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    "file, line",
    [
        ("engine/fit.py", "from house.distributed import errors"),
        ("engine/types.py", "from house.engine import fit"),
        ("engine/policy/planted.py", "from house.engine.posterior import moments"),
        ("engine/stats/planted.py", "from house.engine import rounds"),
        ("distributed/record.py", "from house.benchmarks import harness"),
    ],
)
def test_a_planted_upward_import_is_caught(file, line, copy):
    path = copy / "house" / file
    path.write_text((path.read_text() if path.exists() else "") + f"\n{line}\n")
    done = lint(copy, copy)
    assert done.returncode == 1 and "BROKEN" in done.stdout


def unknown_globals(path, module):
    """Names that functions of a file look up in their module and would not find there."""
    codes, found = [compile(path.read_text(), str(path), "exec")], set()
    while codes:
        code = codes.pop()
        codes += [const for const in code.co_consts if isinstance(const, types.CodeType)]
        loads = (i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL")
        found |= {name for name in loads if not hasattr(module, name)}
    return found - set(dir(builtins))


@pytest.mark.parametrize("package", ["engine", "distributed", "benchmarks"])
def test_every_name_is_known_where_it_is_used(package, checkout):
    # the linter is told to leave names alone: those of axes in annotations are none
    for path in sorted((checkout / package).rglob("*.py")):
        name = ".".join(path.relative_to(checkout).with_suffix("").parts)
        module = importlib.import_module(f"epistax.{name.removesuffix('.__init__')}")
        assert unknown_globals(path, module) == set(), name


def test_a_forgotten_import_is_seen(tmp_path):
    path = tmp_path / "late.py"
    path.write_text("import os\n\ndef f(x):\n    return os.sep, len(x), count(x)\n")
    spec = importlib.util.spec_from_file_location("late", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert unknown_globals(path, module) == {"count"}
