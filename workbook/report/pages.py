"""Write executed notebooks as web pages, whose links lead from page to page."""

import re
from pathlib import Path

from workbook.report.record import HOME

EXECUTED = HOME / "notebooks" / "executed"
"""Where the notebooks with results are."""

TEMPLATE = Path(__file__).with_name("page.html.j2")
"""nbconvert's page, with text alternatives for pictures."""

LINK = re.compile(r'href="([0-9]{2}_[a-z0-9_]+)\.ipynb"')
"""A link from one notebook to another."""


def write_pages(target: Path, executed: Path = EXECUTED) -> list[Path]:
    """Write a page for each executed notebook into a folder; returns the pages' paths.

    Cells that are hidden in JupyterLab are left out, and their results stay. Raises
    FileNotFoundError if there are no executed notebooks.
    """
    sources = sorted(executed.glob("[0-9][0-9]_*.ipynb"))
    if not sources:
        raise FileNotFoundError(
            f"there are no executed notebooks in {executed}: `make report` makes them"
        )
    target.mkdir(parents=True, exist_ok=True)
    return [write_page(source, target) for source in sources]


def write_page(source: Path, target: Path) -> Path:
    """Write one notebook as a page into a folder; returns the page's path."""
    page = target / f"{source.stem}.html"
    page.write_text(page_of(source), encoding="utf-8")
    return page


def page_of(source: Path) -> str:
    """A notebook as HTML."""
    import nbformat
    from jinja2 import DictLoader
    from nbconvert import HTMLExporter

    notebook = nbformat.read(source, as_version=4)
    for cell in notebook.cells:
        if cell.metadata.get("jupyter", {}).get("source_hidden"):
            cell.metadata["transient"] = {"remove_source": True}
    templates = DictLoader({TEMPLATE.name: TEMPLATE.read_text(encoding="utf-8")})
    exporter = HTMLExporter(extra_loaders=[templates], template_file=TEMPLATE.name)
    page, _ = exporter.from_notebook_node(notebook)
    return LINK.sub(r'href="\1.html"', page)
