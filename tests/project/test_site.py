"""The documentation as a site: no link is broken, linked files and executed notebooks are in it."""

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"""(?:href|src)=["']?(?!\w+:|//|#)([^"'\s>#?]+)""")

pytestmark = pytest.mark.slow


def build(root, site):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", site]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT, folder)
    assert done.returncode == 0, done.stderr
    return folder


BROKEN = ["docs/missing.md", "data/missing.csv", "docs/notebooks.md#missing"]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Build the site of a project with the site's settings and hook, a README and a page on notebooks.

    One build for two tests, as it starts slowly: of the README's links, those in BROKEN lead nowhere.
    """
    root = tmp_path_factory.mktemp("small")
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:\n")[0]
    (root / "mkdocs.yml").write_text(settings, encoding="utf-8")
    (root / "docs").mkdir()
    for name in ("site.py", "site.css"):
        (root / "docs" / name).write_bytes((ROOT / "docs" / name).read_bytes())
    (root / "docs" / "notebooks.md").write_text("# Notebooks\n")
    links = "".join(f"[a link]({link})\n" for link in ["docs/notebooks.md", "data/a.csv", *BROKEN])
    (root / "README.md").write_text(f"# Project\n\n{links}")
    (root / "data").mkdir()
    (root / "data" / "a.csv").write_text("a\n1\n")
    return root / "site", build(root, root / "site")


def test_every_link_leads_to_a_file_of_the_site(site):
    pages = {page.relative_to(site).as_posix(): page for page in site.rglob("*.html") if page.name != "404.html"}
    assert {"index.html", "project/data/index.html", "project/notebooks/07_listen_along.html"} <= pages.keys()
    for page in pages.values():
        links = LINK.findall(page.read_text(encoding="utf-8"))
        assert [link for link in links if not (page.parent / unquote(link)).exists()] == [], page


def test_the_executed_notebooks_of_every_study_are_listed(site):
    published = [path.relative_to(ROOT).as_posix() for path in ROOT.glob("reports/*/[0-9][0-9]_*.html")]
    assert "reports/twin_signal/05_results.html" in published
    assert {link for link in LINK.findall((site / "notebooks.html").read_text()) if "reports/" in link} >= {
        f"project/{path}" for path in published
    }
    page = (site / "project/reports/twin_signal/05_results.html").read_text(encoding="utf-8")
    assert "<a href='../../../notebooks.html'>" in page


def test_without_executed_notebooks_the_site_explains_how_to_get_them(small):
    site, _ = small
    assert "No study has been run here yet" in (site / "notebooks.html").read_text()
    assert (site / "project" / "data" / "a.csv").read_text() == "a\n1\n"


def test_a_broken_link_stops_the_build(small):
    """It reports each of the links, and stops because of these alone."""
    _, done = small
    assert done.returncode != 0
    warnings = [line for line in done.stderr.splitlines() if line.startswith("WARNING")]
    for link, warning in zip(BROKEN, warnings, strict=True):
        assert Path(link).name in warning
    assert f"Aborted with {len(BROKEN)} warnings in strict mode" in done.stdout
