"""Run notebooks in JupyterLab (`make lab`) in a browser, and use the controls of notebook 07."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
GRID = "{input_form: [one_hot, embedding, content, content_mlp], loss: [cross_entropy, bpr, bpr_max]}"
SEEN = ROOT / "runs" / "browser"  # screenshots; reports/README.md describes them
PATIENCE = 120_000  # timeout for any element of the page, in milliseconds
NOTEBOOK = ".jp-NotebookPanel:not(.lm-mod-hidden) "

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine; after `apt-get install chromium` this runs"),
]


@pytest.fixture
def project(tmp_path):
    """Copy what the notebooks read, without computed files; reduce the toy study's grid to two cells."""
    root = tmp_path / "project"
    for part in ("config", "gru4rec_lib", "notebooks", "profiles"):
        shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
    shutil.copyfile(ROOT / "Makefile", root / "Makefile")
    toy = root / "config" / "toy.yaml"
    assert GRID in toy.read_text()
    toy.write_text(toy.read_text().replace(GRID, "{input_form: [one_hot, content], loss: [bpr]}"))
    return root


@pytest.fixture
def lab(project, tmp_path):
    """Start JupyterLab; yield the printed address with its token."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    own = {name: str(tmp_path / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")}
    installed = ["-o", ".venv/.installed", f"BIN={Path(sys.executable).parent}"]
    log = tmp_path / "lab.log"
    with log.open("w") as stderr:
        server = subprocess.Popen(
            ["make", *installed, "lab", f"ARGS=--no-browser --ServerApp.port={port}"],
            cwd=project,
            env=os.environ | own | {"PYTHONPATH": str(project)},
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
        )
    try:
        yield address_in(log, server)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def address_in(log, server):
    while server.poll() is None:
        if found := re.search(r"http://localhost\S+token=\w+", log.read_text()):
            return found[0]
        time.sleep(0.1)
    return pytest.fail("JupyterLab did not start:\n" + log.read_text())


@pytest.fixture
def page(lab):
    """Open a page high enough for all cells: JupyterLab removes cells outside the viewport."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        page = browser.new_page(viewport={"width": 1400, "height": 7000})
        page.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        yield page
        browser.close()


def run_all(page, lab, name):
    """Open a notebook and run all cells by the menu; check that the last cell ran and no cell shows an error."""
    # Reset: otherwise another notebook's tab is restored first, and its idle kernel is taken for this one's.
    page.goto(lab.replace("/START.md?", f"/{name}?reset&"))
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    last = page.locator(NOTEBOOK + ".jp-CodeCell").last
    expect(last.locator(".jp-InputPrompt")).to_have_text(re.compile(r"\[\d+\]:"))
    expect(page.locator(NOTEBOOK + "[data-mime-type='application/vnd.jupyter.error']")).to_have_count(0)
    expect(page.locator(NOTEBOOK + "[data-mime-type='application/vnd.jupyter.stderr']")).to_have_count(0)


def keep(page, name):
    """Save a screenshot that ends below the last cell."""
    last = page.locator(NOTEBOOK + ".jp-CodeCell").last.bounding_box()
    page.screenshot(path=SEEN / name, clip={"x": 0, "y": 0, "width": 1400, "height": last["y"] + last["height"] + 20})


def pictures(page):
    """Return the widths in pixels of the images that the browser could read."""
    images = page.locator(NOTEBOOK + ".jp-OutputArea-output img")
    return [width for width in images.evaluate_all("images => images.map(image => image.naturalWidth)") if width]


def test_the_first_page_says_where_to_begin_and_nothing_asks_about_news(lab, page):
    page.goto(lab)
    expect(page.get_by_role("heading", name="Where to begin")).to_be_visible()
    files = page.locator(".jp-DirListing-item")
    for name in ("figures", "reports", "01_explore_sessions.ipynb"):
        expect(files.filter(has_text=name)).to_be_visible()
    page.wait_for_timeout(3000)  # the question about news appears some time after the start
    expect(page.get_by_text("news")).to_have_count(0)
    page.screenshot(path=SEEN / "start.png", clip={"x": 0, "y": 0, "width": 1400, "height": 800})
    page.get_by_role("link", name="01_explore_sessions").first.click()
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()


@pytest.mark.timeout(480)
def test_the_notebooks_run_in_a_browser_and_a_control_moves_the_lists(lab, page):
    run_all(page, lab, "01_explore_sessions.ipynb")
    assert len(pictures(page)) == 4
    expect(page.locator(NOTEBOOK + "table").filter(has_text="sessions").first).to_be_visible()
    keep(page, "01.png")

    run_all(page, lab, "07_listen_along.ipynb")
    controls = page.locator(NOTEBOOK + ".jp-CodeCell").last
    lists = controls.locator("table").first
    expect(lists.locator("caption")).to_contain_text("heard: 5.")
    assert len(pictures(page)) == 2, "the notebook's own, and that of the controls"
    before = lists.inner_text()
    keep(page, "07.png")

    controls.get_by_role("slider").press("ArrowRight")
    expect(lists.locator("caption")).to_contain_text("heard: 6.")
    assert lists.inner_text() != before

    tracks = controls.get_by_role("textbox", name="tracks")
    session = tracks.input_value().splitlines()
    controls.get_by_placeholder("type or choose a track").fill(session[0])
    controls.get_by_role("button", name="add").click()
    expect(lists.locator("caption")).to_contain_text(f"heard: {len(session) + 1}. The session ends here.")
    assert tracks.input_value().splitlines() == [*session, session[0]]
    expect(controls.locator("table").last.locator("tbody tr")).to_have_count(len(session) + 1)
    keep(page, "07_moved.png")
