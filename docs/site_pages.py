"""The site's pages that do not lie in docs/, and links between what lies where: called by mkdocs (see mkdocs.yml)."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent.parent
OUTSIDE = {  # path in the repository -> page of the site
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/RESULTS.md": "results.md",
    **{f"vidfer/assets/{card.name}": f"cards/{card.name}" for card in (ROOT / "vidfer" / "assets").glob("*.md")},
}


def on_files(files: Any, config: Any) -> Any:
    """Add the pages from outside docs/."""
    for source, page in OUTSIDE.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Let links lead to pages of the site; what is no page of it (a folder, a script) is named without a link."""
    page_path = page.file.src_uri
    source = next((source for source, name in OUTSIDE.items() if name == page_path), f"docs/{page_path}")

    def moved(match: re.Match[str]) -> str:
        text, target, anchor = match[1], match[2], match[3] or ""
        if "://" in target:
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        on_site = OUTSIDE.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else "")
        if not on_site or on_site.endswith(".py"):
            return text
        return f"[{text}]({posixpath.relpath(on_site, posixpath.dirname(page_path) or '.')}{anchor})"

    return re.sub(r"(?<!!)\[([^\]]*)\]\(([^)#\s]+)(#[^)]*)?\)", moved, _pictures(markdown))


def _pictures(markdown: str) -> str:
    return markdown.replace("](docs/", "](")
