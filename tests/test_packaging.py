"""What is installed is what the tree shows, under one name, and nothing else."""

import importlib.metadata
import os
import subprocess
import sys
import tomllib

import pytest

OURS = ("engine", "distributed", "benchmarks")


@pytest.fixture
def project(checkout):
    return tomllib.loads((checkout / "pyproject.toml").read_text())


@pytest.fixture
def installed():
    """The distribution from the wheel; an editable one has no files of its own to look at."""
    if "EPISTAX_CHECKOUT" not in os.environ:
        pytest.skip("the wheel is looked at by .ci/run, which sets EPISTAX_CHECKOUT")
    return importlib.metadata.distribution("epistax")


def modules(checkout):
    """Every module of the tree, by its path in the wheel."""
    files = [p for folder in OURS for p in (checkout / folder).rglob("*.py")]
    return {f"epistax/{p.relative_to(checkout).as_posix()}" for p in files} | {"epistax/cli.py"}


def test_every_folder_with_an_init_is_listed_and_no_other(checkout, project):
    folders = {
        p.parent.relative_to(checkout) for f in OURS for p in checkout.glob(f"{f}/**/__init__.py")
    }
    tree = {"epistax"} | {"epistax." + ".".join(f.parts) for f in folders}
    assert set(project["tool"]["setuptools"]["packages"]) == tree


def test_every_module_lies_in_a_package(checkout):
    for folder in OURS:
        for path in (checkout / folder).rglob("*.py"):
            assert (path.parent / "__init__.py").exists(), path


def test_the_root_holds_the_door_and_no_other_module(checkout):
    # setuptools would ship any other as epistax/NAME.py; and a root __init__ has no place
    assert [p.name for p in checkout.glob("*.py")] == ["cli.py"]


def test_types_are_announced(checkout, project):
    data = project["tool"]["setuptools"]["package-data"]
    for name in ("engine", "distributed"):
        assert (checkout / name / "py.typed").is_file()
        assert data[f"epistax.{name}"] == ["py.typed"]


@pytest.mark.parametrize("name", OURS)
def test_no_package_is_imported_under_a_second_name(name, checkout):
    done = subprocess.run(
        [sys.executable, "-c", f"import {name}"],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert f"ImportError: import epistax.{name}, not '{name}'" in done.stderr


def test_the_wheel_holds_every_module_and_nothing_but_epistax(installed, checkout):
    files = {f.as_posix() for f in installed.files}
    roots = {f.split("/")[0] for f in files}
    metadata = f"epistax-{installed.version}.dist-info"
    assert roots <= {"epistax", metadata, ".."}
    assert {f for f in files if f.startswith("..")} == {"../../../bin/epistax"}
    assert {f for f in files if f.endswith(".py")} == modules(checkout)
    others = {f for f in files if f.startswith("epistax/") and not f.endswith((".py", ".pyc"))}
    marks = {"epistax/engine/py.typed", "epistax/distributed/py.typed"}
    page = {f"epistax/distributed/report/{name}" for name in ("page.html", "page.js", "matrix.js")}
    assert others == marks | page


def test_the_tests_run_on_the_wheel_not_on_the_checkout(installed, checkout):
    import epistax.engine

    assert not epistax.engine.__file__.startswith(str(checkout))


def test_the_console_command_and_the_module_are_the_same_door():
    (entry,) = [e for e in importlib.metadata.distribution("epistax").entry_points]
    assert (entry.name, entry.value) == ("epistax", "epistax.cli:main")
    words = [sys.executable, "-m", "epistax.cli", "--version"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"epistax {importlib.metadata.version('epistax')}, python ")


def test_the_version_of_every_dependency_is_pinned_for_ci(checkout, project):
    pins = {}
    for line in (checkout / ".ci" / "constraints.txt").read_text().splitlines():
        if not line.startswith("#"):
            name, version = line.split("==")  # exact, and from an index: no path, no link
            pins[name.lower().replace("_", "-")] = version
    extras = project["project"]["optional-dependencies"]
    for need in project["project"]["dependencies"] + extras["test"]:
        name = need.split(">")[0].split("<")[0].split("=")[0].strip()
        assert name.lower() in pins, need
