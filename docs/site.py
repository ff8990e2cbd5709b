"""A hook of MkDocs: adds the README, the project's files that pages link to, and executed notebooks to the site.

Links in README.md and docs/ are relative to the repository. On the site the README is the home page, and a linked file
outside docs/ is copied to project/. Executed notebooks are the HTML pages that a study published in reports/<study>/.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath

import nbformat
from mkdocs.structure.files import File

from gru4rec_lib.study.publish import to_html

LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#\s]+)")
INTERVAL = re.compile(r"[^\s<>(]+ \([^\s<>]+ to [^\s<>]+\)")
STYLE = "<style>body { max-width: 64rem; margin: auto !important; font-family: sans-serif }</style>"
NO_PAGES = "No study has been run here yet: run `make reproduce STUDY=toy`, then `make docs`."


def on_files(files, config):
    """Add the home page, linked files, and executed notebooks."""
    root = Path(config.config_file_path).parent
    files.append(_file(root, "README.md", config))
    for path in executed(root):
        files.append(_file(root, path, config))
    pages = [file for file in files if file.is_documentation_page()]
    while pages:
        page = pages.pop()
        for link in LINK.findall(page.content_string):
            path = _target(page, link)
            if files.get_file_from_path(_place(path)) is None and (root / path).is_file():
                files.append(added := _file(root, path, config))
                pages += [added] if added.is_documentation_page() else []
    return files


def on_page_markdown(markdown, page, config, files):
    """Point links to the files' places on the site; list the executed notebooks."""
    if page.file.src_uri == "notebooks.md":
        markdown += "\n" + listed(executed(Path(config.config_file_path).parent))
    here = PurePosixPath(page.file.src_uri).parent.as_posix()
    return LINK.sub(lambda link: relpath(_place(_target(page.file, link[1])), here), markdown)


def on_page_content(html, page, config, files):
    """Keep a number and its interval on one line."""
    return INTERVAL.sub(lambda text: f"<span class='interval'>{text[0]}</span>", html)


def executed(root: Path) -> list[str]:
    """List the executed notebooks of every study as paths of HTML pages, relative to the project's folder."""
    return sorted(path.relative_to(root).as_posix() for path in root.glob("reports/*/[0-9][0-9]_*.html"))


def listed(pages: list[str]) -> str:
    """Write a Markdown list of executed notebooks, one item a study."""
    studies = {}
    for page in map(PurePosixPath, pages):
        studies.setdefault(page.parent.name, []).append(f"[{page.stem}](../{page})")
    return "\n".join(f"- **{study}**: {', '.join(links)}" for study, links in studies.items()) or NO_PAGES


def _place(path: str) -> str:
    """Where a file of the project is on the site."""
    if path == "README.md":
        return "index.md"
    path = path.removesuffix(".ipynb") + ".html" if path.endswith(".ipynb") else path
    return path.removeprefix("docs/") if path.startswith("docs/") else f"project/{path}"


def _target(page: File, link: str) -> str:
    """The file of the project that a page links to."""
    at = {"index.md": "README.md"}.get(page.src_uri) or page.src_uri.removeprefix("project/")
    folder = PurePosixPath(at).parent if at != page.src_uri else PurePosixPath("docs", at).parent
    return normpath(folder / link)


def _file(root: Path, path: str, config) -> File:
    source, place = root / path, _place(path)
    if not place.endswith(".html"):
        return File.generated(config, place, abs_src_path=str(source))
    if source.suffix == ".ipynb":
        html = to_html(nbformat.read(source, as_version=4), source.stem)
    else:
        html = source.read_text(encoding="utf-8")
    html = re.sub(r'href="(\w+)\.ipynb"', r'href="\1.html"', html)
    home = relpath("notebooks.html", PurePosixPath(place).parent)
    top = f"{STYLE}<p><a href='{home}'>← {config.site_name}: notebooks</a></p>"
    return File.generated(config, place, content=re.sub(r"<body\b[^>]*>", lambda tag: tag[0] + top, html, count=1))
