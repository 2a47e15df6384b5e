"""The site of documents: what MkDocs calls while `make docs` builds it.

The site consists of the pages in docs/, of texts that stand elsewhere in the repository (the
README, the report, the recipes), of the executed notebooks, and of a page for each module of
finlib. Texts keep their paths, so that a link that works in the repository works on the site.
Pages in docs/ are templates like the report's: their numbers are looked up in figures/.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe
import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from nbconvert import MarkdownExporter
from traitlets.config import Config

import finlib
from workbook.report.filling import Page
from workbook.report.results import ReportError, Results

TEXTS = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "finlib/recipes.md",
    "report.md",
)
"""Texts that are pages of the site as they are."""

COPIES = ("report.html", "report.pdf", "LICENSE", "CITATION.cff", "figures/*.png", "docs/*.png")
"""Files that the pages link to or show."""

NOT_DOCUMENTED = ("finlib.command",)
"""Packages without pages: the command line has its own help."""

NOTEBOOKS = "notebooks/executed"
NOTEBOOK_LINK = re.compile(r"\]\((?:notebooks/(?!executed/))?([^()\s:]*)\.ipynb\)")
TERMINAL_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
EXAMPLE = re.compile(r"^( *)>>> .*\n(?:\1\S.*(?:\n|$))*", re.MULTILINE)
DESCRIPTION = re.compile(r"^([a-z_]\w*(?:, [a-z_]\w*)*): (?=\S)", re.MULTILINE)
MODULE_LINE = re.compile(r"^([a-z_]+) {2,}(\S.*)$", re.MULTILINE)


# What MkDocs calls --------------------------------------------------------------------------------


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add to the pages in docs/ what the site takes from the rest of the repository."""
    root = root_of(config)
    for path in repository_files(root):
        name = path.relative_to(root).as_posix()
        files.append(File.generated(config, name, abs_src_path=str(path)))
    notebooks = root / NOTEBOOKS
    for path in sorted(notebooks.glob("*.ipynb")):
        for name, content in notebook_pages(path).items():
            files.append(File.generated(config, f"{NOTEBOOKS}/{name}", content=content))
    for module in documented_modules(root):
        name = f"reference/{module}.md"
        content = reference_page(module, root)
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, config: MkDocsConfig, **_: Any) -> str:
    """Fill in the numbers of a page in docs/, and lead links to notebooks to their pages."""
    if page.file.generated_by is None:
        markdown = fill_page(markdown, page.file.src_uri, root_of(config))
    return NOTEBOOK_LINK.sub(link_to_page, markdown)


class ReadableDocstrings(griffe.Extension):
    """Write what docstrings contain in Markdown: examples as code, descriptions of names as lists.

    Markdown would take the examples for quotations, and would run the descriptions together.
    """

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of a module, a class or a function before it is rendered."""
        if obj.docstring is not None:
            listed = DESCRIPTION.sub(r"\n- `\1`: ", obj.docstring.value)
            obj.docstring.value = EXAMPLE.sub(fence_example, listed)


def fence_example(match: re.Match[str]) -> str:
    """An example between the fences of a block of code."""
    return f"```pycon\n{match[0].rstrip()}\n```\n"


# The parts of the site ----------------------------------------------------------------------------


def root_of(config: MkDocsConfig) -> Path:
    """The checkout, which contains mkdocs.yml."""
    return Path(config.config_file_path).parent


def repository_files(root: Path) -> Iterator[Path]:
    """The texts and files outside docs/ that the site takes as they are."""
    for text in TEXTS:
        yield root / text
    for pattern in COPIES:
        yield from sorted(root.glob(pattern))


def documented_modules(root: Path) -> list[str]:
    """The names of finlib's modules that have a page, such as `finlib.matching.pairs`."""
    names = []
    for path in sorted((root / "finlib").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts).removesuffix(".__init__")
        if not name.startswith(NOT_DOCUMENTED):
            names.append(name)
    return names


def reference_page(module: str, root: Path) -> str:
    """The page of a module: for MkDocs to fill from its docstrings, or a package's own map."""
    if not source_of_package(module, root).exists():
        return f"# `{module}`\n\n::: {module}\n"
    page = f"# `{module}`\n\n{map_of_package(module, root)}\n"
    if module == "finlib":
        page += "\n## What `import finlib` offers\n\n"
        for name in finlib.__all__:
            page += f"- [`{name}`][{module_of(name)}.{name}]\n"
    return page


def source_of_package(module: str, root: Path) -> Path:
    """The file that a package's docstring is in; it exists only for packages."""
    return root / module.replace(".", "/") / "__init__.py"


def module_of(name: str) -> str:
    """The module that defines what `import finlib` offers under this name."""
    return f"finlib.{finlib.MODULE_OF[name]}"


def map_of_package(package: str, root: Path) -> str:
    """The docstring of a package in Markdown, with its lines on modules as a list of links."""
    source = source_of_package(package, root).read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(source))
    assert docstring is not None, f"{package} has no docstring"
    documented = documented_modules(root)

    def item(line: re.Match[str]) -> str:
        target = f"{package}.{line[1]}"
        name = f"`{line[1]}`"
        if target in documented:
            name = f"[{name}]({target}.md)"
        return f"- {name}: {line[2]}"

    return MODULE_LINE.sub(item, docstring)


def notebook_pages(path: Path) -> dict[str, str | bytes]:
    """An executed notebook as a page in Markdown and the pictures that it shows, by file name.

    Cells whose source is hidden in JupyterLab show only what they print.
    """
    notebook: Any = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.metadata.get("jupyter", {}).get("source_hidden"):
            cell.metadata.setdefault("tags", []).append("hide")
    options = Config()
    options.TagRemovePreprocessor.enabled = True
    options.TagRemovePreprocessor.remove_input_tags = {"hide"}
    options.ExtractOutputPreprocessor.enabled = True
    exporter: Any = MarkdownExporter(config=options)
    names = {"unique_key": path.stem}
    text, resources = exporter.from_notebook_node(notebook, names)
    pages: dict[str, str | bytes] = dict(resources["outputs"])
    pages[f"{path.stem}.md"] = TERMINAL_COLOUR.sub("", text)
    return pages


def link_to_page(match: re.Match[str]) -> str:
    """The link to a notebook's page in place of a link to the notebook."""
    folder = f"{NOTEBOOKS}/" if match[0].startswith("](notebooks/") else ""
    name = match[1].rpartition("/")[2]
    return f"]({folder}{name}.md)"


def fill_page(markdown: str, name: str, root: Path) -> str:
    """The text of a page in docs/ with its numbers.

    In addition to what the report's template offers, `section("CONTRIBUTING.md", "Add a hash")` is
    a section of another text, and `modules()` the map of finlib. Raises ReportError where a page
    names what does not exist.
    """
    page = Page(Results(root / "figures"), name)
    page.jinja.globals["section"] = lambda text, title: section(root / text, title)
    page.jinja.globals["modules"] = lambda: list_of_modules(root)
    filled = page.render(markdown)
    if page.problems or page.broken_claims:
        raise ReportError("\n".join([*page.problems, *page.broken_claims]))
    return filled


def section(path: Path, title: str) -> str:
    """The section of a text under a heading of the second level, without the heading."""
    _, found, rest = path.read_text(encoding="utf-8").partition(f"\n## {title}\n")
    if not found:
        raise ReportError(f"{path.name} has no section {title!r}")
    return rest.partition("\n## ")[0].strip()


def list_of_modules(root: Path) -> str:
    """The maps of all documented packages, one below the other."""
    maps = []
    for module in documented_modules(root):
        if source_of_package(module, root).exists():
            maps.append(f"## {module}\n\n{map_of_package(module, root)}")
    return "\n\n".join(maps)
