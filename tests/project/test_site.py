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


@pytest.fixture
def small(tmp_path):
    """Create a project with the site's settings and hook, a README and a page on notebooks."""
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:\n")[0]
    (tmp_path / "mkdocs.yml").write_text(settings, encoding="utf-8")
    (tmp_path / "docs").mkdir()
    for name in ("site.py", "site.css"):
        (tmp_path / "docs" / name).write_bytes((ROOT / "docs" / name).read_bytes())
    (tmp_path / "docs" / "notebooks.md").write_text("# Notebooks\n")
    (tmp_path / "README.md").write_text("# Project\n\n[notebooks](docs/notebooks.md), [data](data/a.csv)\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("a\n1\n")
    return tmp_path


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
    done = build(small, small / "site")
    assert done.returncode == 0, done.stderr
    assert "No study has been run here yet" in (small / "site" / "notebooks.html").read_text()
    assert (small / "site" / "project" / "data" / "a.csv").read_text() == "a\n1\n"


def test_a_broken_link_stops_the_build(small):
    """One build, as it starts slowly: it reports each of the links, and stops because of these alone."""
    links = ["docs/missing.md", "data/missing.csv", "docs/notebooks.md#missing"]
    (small / "README.md").write_text("# Project\n\n" + "".join(f"[a link]({link})\n" for link in links))
    done = build(small, small / "site")
    assert done.returncode != 0
    warnings = [line for line in done.stderr.splitlines() if line.startswith("WARNING")]
    for link, warning in zip(links, warnings, strict=True):
        assert Path(link).name in warning
    assert f"Aborted with {len(links)} warnings in strict mode" in done.stdout
