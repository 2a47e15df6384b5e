"""Notebooks as web pages: links from page to page, text alternatives, hidden cells left out."""

import base64

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from workbook.report import pages

PNG = base64.b64encode(b"\x89PNG\r\n").decode("ascii")


@pytest.fixture
def executed(tmp_path):
    """A folder with a notebook that links to another, shows a figure and hides a cell."""
    output = new_output("display_data", {"image/png": PNG})
    output.metadata = {"image/png": {"alt": 'a curve, "steep" & long', "width": 700}}
    drawn = new_code_cell("draw_it()", outputs=[output])
    hidden = new_code_cell("import secretly", metadata={"jupyter": {"source_hidden": True}})
    text = new_markdown_cell("# One\n\n[next](02_two.ipynb), [elsewhere](https://example.org/02_a)")
    folder = tmp_path / "executed"
    folder.mkdir()
    nbformat.write(new_notebook(cells=[text, drawn, hidden]), folder / "01_one.ipynb")
    return folder


def test_a_page_links_to_pages_and_tells_pictures_in_words(executed, tmp_path):
    (page,) = pages.write_pages(tmp_path / "pages", executed)
    assert page.name == "01_one.html"
    html = page.read_text(encoding="utf-8")
    assert 'href="02_two.html"' in html
    assert 'href="https://example.org/02_a"' in html
    picture = BeautifulSoup(html, "html.parser").find("img")
    assert picture["alt"] == 'a curve, "steep" & long'
    assert "No description has been provided" not in html


def test_figures_are_scrolled_and_not_shrunk_on_a_telephone(executed, tmp_path):
    (page,) = pages.write_pages(tmp_path / "pages", executed)
    html = page.read_text(encoding="utf-8")
    assert ".jp-RenderedImage { overflow-x: auto; }" in html


def test_hidden_cells_are_left_out(executed, tmp_path):
    (page,) = pages.write_pages(tmp_path / "pages", executed)
    html = page.read_text(encoding="utf-8")
    assert "draw_it" in html
    assert "secretly" not in html


def test_where_nothing_ran_it_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="make report"):
        pages.write_pages(tmp_path / "pages", tmp_path)
