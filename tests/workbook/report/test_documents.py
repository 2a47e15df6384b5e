"""The site of documents: every module and page is in it, what pages show runs, links lead on."""

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml
from PIL import Image

import finlib
from finlib.command import cli, process
from workbook.report import documents
from workbook.report.results import ReportError

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted(path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md"))
LINK = re.compile(r"\]\(([^)\s#]+)")


def filled(page):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return documents.fill_page(text, page, ROOT)


def listed(nav):
    """The paths in the contents of the site."""
    for entry in nav:
        for value in entry.values():
            yield from [value] if isinstance(value, str) else listed(value)


def test_every_module_of_finlib_but_the_command_line_has_a_page():
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in (ROOT / "finlib").rglob("*.py")
    }
    in_production = {name for name in modules if not name.startswith("finlib.command")}
    assert set(documents.documented_modules(ROOT)) == in_production
    overview = filled("reference/index.md")
    linked = set(re.findall(r"\((finlib\.[\w.]+)\.md\)", overview))
    assert linked == in_production - {"finlib"}
    offered = documents.reference_page("finlib", ROOT)
    assert all(f"`{name}`][finlib." in offered for name in finlib.__all__)


def test_every_page_is_in_the_contents():
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    contents = set(listed(yaml.safe_load(config)["nav"]))
    notebooks = {
        f"{documents.NOTEBOOKS}/{path.stem}.md"
        for path in (ROOT / documents.NOTEBOOKS).glob("*.ipynb")
    }
    assert contents == set(PAGES) | set(documents.TEXTS) | notebooks


@pytest.mark.parametrize("page", PAGES)
def test_pages_are_filled_and_their_links_lead_on(page):
    generated = {f"reference/{name}.md" for name in documents.documented_modules(ROOT)}
    place = Path("docs", page).parent
    text = filled(page)
    assert "{{" not in text
    for link in LINK.findall(text):
        if "://" in link:
            continue
        target = (ROOT / place / link).resolve()
        in_docs = target.relative_to(ROOT / "docs") if target.is_relative_to(ROOT / "docs") else ""
        on_site = ROOT / in_docs  # texts outside docs/ are at the site's root by their own paths
        assert target.exists() or on_site.is_file() or str(in_docs) in generated, link


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{{ "05.no_such_number"|number }}', "no_such_number"),
        ('{{ section("CONTRIBUTING.md", "Nowhere") }}', "has no section 'Nowhere'"),
        ('{{ claim("1 > 2") }}', "1 > 2"),
    ],
)
def test_a_page_that_names_what_does_not_exist_is_refused(text, message):
    with pytest.raises(ReportError, match=message):
        documents.fill_page(text, "page.md", ROOT)


def test_links_to_notebooks_lead_to_their_pages():
    lead = documents.NOTEBOOK_LINK.sub
    page = "](notebooks/executed/00_start_here.md)"
    assert lead(documents.link_to_page, "](notebooks/00_start_here.ipynb)") == page
    assert lead(documents.link_to_page, "](notebooks/executed/00_start_here.ipynb)") == page
    assert lead(documents.link_to_page, "](06_scaling.ipynb)") == "](06_scaling.md)"
    assert lead(documents.link_to_page, "](https://a.org/b.ipynb)") == "](https://a.org/b.ipynb)"


def test_a_notebook_is_a_page_with_its_pictures():
    path = ROOT / documents.NOTEBOOKS / "03_optimisation_2_compiled.ipynb"
    pages = documents.notebook_pages(path)
    text = pages.pop("03_optimisation_2_compiled.md")
    shown = set(re.findall(r"\((03_[\w.]+\.png)\)", text))
    assert shown == {name for name in pages if name.endswith(".png")} != set()
    assert "\x1b[" not in text


def test_docstrings_become_markdown():
    docstring = (
        "Double it.\n\nvalue: a number that\n    is doubled.\n\n>>> double(2)\n4\n\nNo more: end."
    )
    listed = documents.DESCRIPTION.sub(r"\n- `\1`: ", docstring)
    shown = documents.EXAMPLE.sub(documents.fence_example, listed)
    assert "\n- `value`: a number that\n    is doubled.\n" in shown
    assert "```pycon\n>>> double(2)\n4\n```\n" in shown
    assert shown.endswith("No more: end.")


# What pages show ----------------------------------------------------------------------------------


@pytest.fixture
def photos(album, tmp_path, monkeypatch):
    """The folders `photos` and `new` and the image photo.jpg, which how-to pages begin with."""
    (album / "0002_damaged.jpg").unlink()
    monkeypatch.chdir(tmp_path)
    album.rename("photos")
    Path("new").mkdir()
    shutil.copy("photos/0000_1.png", "new/again.png")
    Image.open("photos/0000_1.png").convert("RGB").save("photo.jpg")


def run_command(line, monkeypatch):
    command = line.split("#")[0].split()
    assert command[0] == "finlib"
    monkeypatch.setattr(sys, "argv", command)
    assert process.run(cli.app) == 0, line


def blocks(page, language):
    """Blocks of code on a page; no number is looked up in them."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.+?)```", text, re.DOTALL)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "sh")])
def test_commands_on_pages_run(page, photos, monkeypatch):
    shown = [line for block in blocks(page, "sh") for line in block.strip().splitlines()]
    given = []
    if not any("finlib hash photos" in line for line in shown):
        given = ["finlib hash photos -o hashes.parquet"]
    for line in [*given, *shown]:
        run_command(line, monkeypatch)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")])
def test_python_on_pages_runs(page, photos, capsys):
    if "dask" in page:
        pytest.importorskip("distributed")
    names = {}
    for code in blocks(page, "python"):
        exec(compile(code, page, "exec"), names)
    if page == "how-to/match-new-images.md":
        assert "new/again.png photos/0000_1.png 0" in capsys.readouterr().out


# The built site -----------------------------------------------------------------------------------


class Links(HTMLParser):
    """The targets of a page: what it links to and what it loads, and its anchors."""

    def __init__(self, text):
        super().__init__()
        self.links = []
        self.loads = []
        self.anchors = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if "id" in given:
            self.anchors.add(given["id"])
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        elif tag in ("img", "script", "iframe") and given.get("src"):
            self.loads.append(given["src"])
        elif tag == "link" and given.get("rel") not in ("canonical", "prev", "next"):
            self.loads.append(given["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "-d", folder]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    pages = [
        path for path in folder.rglob("*.html") if path.name not in ("404.html", "report.html")
    ]
    return folder, {path: Links(path.read_text(encoding="utf-8")) for path in pages}


@pytest.mark.slow
def test_links_of_the_site_lead_to_pages_and_nothing_is_loaded_from_elsewhere(site):
    _, pages = site
    for path, page in pages.items():
        assert not [target for target in page.loads if "//" in target], path
        inside = [target for target in page.links if ":" not in target.partition("/")[0]]
        for target in [*inside, *page.loads]:
            if target.startswith("data:"):
                continue
            name, _, anchor = unquote(target).partition("#")
            other = (path.parent / name).resolve() if name else path
            if other.is_dir():
                other /= "index.html"
            assert other.exists(), (path, target)
            if anchor and other in pages:
                assert anchor in pages[other].anchors | {"__top"}, (path, target)


@pytest.mark.slow
def test_every_public_name_is_in_the_reference(site):
    folder, pages = site
    missing = []
    for module in documents.documented_modules(ROOT):
        page = pages[folder / "reference" / f"{module}.html"]
        source = (ROOT / module.replace(".", "/")).with_suffix(".py")
        if source.exists():
            names = re.findall(r"^(?:def|class) ([a-zA-Z]\w*)", source.read_text(), re.MULTILINE)
            missing += [name for name in names if f"{module}.{name}" not in page.anchors]
    assert missing == []
