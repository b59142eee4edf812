"""A browser without a window, and a page to open in it."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from epistax.distributed.report import page

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """Chromium; its window can be set by CDP, its console is read with `get_log`."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if found is None or driver is None:
        pytest.skip("no chromium and chromedriver on the PATH")
    options = webdriver.ChromeOptions()
    options.binary_location = found
    for flag in ("headless=new", "disable-dev-shm-usage", "disable-gpu", "window-size=1280,900"):
        options.add_argument(f"--{flag}")
    if os.getuid() == 0:
        options.add_argument("--no-sandbox")  # which a root has none of
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path=driver)
    with webdriver.Chrome(options=options, service=service) as window:
        yield window


@pytest.fixture(scope="session")
def make_run(tmp_path_factory):
    """A score run written by hand, with its report: its directory and the rows of its tests."""

    def make(genes, pairs, tests=("additive", "mmd", "cosine")):
        folder = tmp_path_factory.mktemp("run") / "scores"
        folder.mkdir()
        rng, names = np.random.default_rng(0), np.array([f"G{k:05d}" for k in range(genes)])
        total = genes * (genes - 1) // 2
        if pairs == total:
            i, j = np.triu_indices(genes, 1)
        else:
            both = rng.integers(0, genes, (2, 2 * pairs))
            low, high = np.sort(both, axis=0)
            flat = np.unique((low * genes + high)[low < high])
            i, j = np.divmod(np.sort(rng.choice(flat, pairs, replace=False)), genes)
        hubs, frames = rng.gamma(0.3, size=genes), []
        for test in tests:
            value = rng.gamma(0.5, size=len(i)) + hubs[i] * hubs[j]
            p = np.exp(-3 * value) if test != "cosine" else np.full(len(i), np.nan)
            columns = {"a": names[i], "b": names[j], "test": [test] * len(i), "statistic": value,
                       "score": value, "se": value / 9, "p_value": p,
                       "q_value": np.minimum(1, 3 * p), "status": ["ok"] * len(i)}  # fmt: skip
            frames.append(pl.DataFrame(columns).fill_nan(None))
        pl.concat(frames).write_parquet(folder / "scores.parquet")
        record = {"verb": "score", "run_key": "k", "options": {"data": "data.npz"}, "inputs": []}
        (folder / "run.json").write_text(json.dumps(record))
        found = {t: {"tested": len(i), "untested": {}, "top": []} for t in tests}
        (folder / "summary.json").write_text(json.dumps({"tests": found}))
        return page.write(folder), pl.concat(frames)

    return make


@pytest.fixture(scope="session")
def small(browser, make_run):
    """The report of 30 genes and the scores it shows."""
    return make_run(30, 30 * 29 // 2)


@pytest.fixture
def opened(browser, small):
    """That report, freshly opened at 1280 pixels."""
    return visit(browser, small[0], 1280)


@pytest.fixture
def narrow(browser, small):
    """The same on a telephone."""
    return visit(browser, small[0], 400)


def visit(browser, path: Path, width):
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(path.as_uri())
    return browser
