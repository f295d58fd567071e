"""What a site must keep to: links lead somewhere, nothing comes from elsewhere, pages are light."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADS = {  # element → attributes by which a browser fetches something by itself
    "script": ("src",), "img": ("src", "srcset"), "link": ("href",), "iframe": ("src",),
    "source": ("src", "srcset"), "video": ("src", "poster"), "audio": ("src",),
    "object": ("data",), "embed": ("src",),
}  # fmt: skip
HEAVIEST = 3_000_000  # bytes of a page with all that it loads


class Page(HTMLParser):
    """What an HTML page links to, loads, and can be linked at."""

    def __init__(self, path: Path):
        super().__init__()
        self.path = path
        self.names: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element refers to."""
        given = {name: value for name, value in attrs if value}
        if "id" in given:
            self.names.add(given["id"])
        if tag == "a" and "name" in given:
            self.names.add(given["name"])
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "link" and given.get("rel") in ("index", "search", "next", "prev", "canonical"):
            return
        self.loads += [given[name] for name in LOADS.get(tag, ()) if name in given]


def complaints(site: Path) -> list[str]:
    """What is wrong with a built site, in words; empty if nothing is.

    Args:
        site: folder with its ``index.html``.
    """
    pages = {path: Page(path) for path in sorted(site.rglob("*.html"))}
    found = [] if pages else [f"there is no page in {site}"]
    for path, page in pages.items():
        name = path.relative_to(site)
        found += [
            f"{name}: {link} leads nowhere" for link in page.links if _broken(link, page, pages)
        ]
        found += [f"{name} loads {url} from elsewhere" for url in page.loads if _outside(url)]
        if (heavy := weight(page)) > HEAVIEST:
            found.append(f"{name} weighs {heavy / 1e6:.1f} MB, more than {HEAVIEST / 1e6:.0f} MB")
    return found


def weight(page: Page) -> int:
    """Bytes of a page and of every file that it loads."""
    own = {_file(url, page.path) for url in page.loads if not _outside(url) and url[:5] != "data:"}
    return len(page.text.encode()) + sum(f.stat().st_size for f in own if f.is_file())


def _outside(url: str) -> bool:
    return url.startswith("//") or urlsplit(url).scheme in ("http", "https", "ftp")


def _file(url: str, page: Path) -> Path:
    path = unquote(urlsplit(url).path)
    return (page.parent / path).resolve() if path else page.resolve()


def _broken(link: str, page: Page, pages: dict[Path, Page]) -> bool:
    """Whether a link within the site leads to no file, or to no such place in it."""
    parts = urlsplit(link)
    if parts.scheme or link.startswith("//"):
        return False
    file = _file(link, page.path)
    if not file.is_file():
        return True
    there = {path.resolve(): each for path, each in pages.items()}.get(file)
    place = unquote(parts.fragment)
    return bool(place) and there is not None and place not in there.names
