"""What a static page shows of an output."""

from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook, new_output

from workbook.report import execute

WIDGET_OUTPUT = {execute.WIDGET: {"model_id": "abc"}, "text/plain": "VBox()"}


def cleaned(data):
    output = new_output("display_data", data, metadata={"image/png": {"alt": "a curve"}})
    notebook = new_notebook(cells=[new_code_cell("x", outputs=[output])])
    execute.clean(notebook, Path("/nowhere"))
    nbformat.validate(notebook)
    return notebook.cells[0].outputs


def test_controls_leave_their_picture_its_words_and_a_note():
    picture, note = cleaned({**WIDGET_OUTPUT, "image/png": "AAAA"})
    assert picture.data == {"image/png": "AAAA"}
    assert picture.metadata["image/png"]["alt"] == "a curve"
    assert note.data == {"text/markdown": execute.WIDGET_NOTE}


def test_controls_without_a_picture_leave_a_note():
    (note,) = cleaned(WIDGET_OUTPUT)
    assert note.data == {"text/markdown": execute.WIDGET_NOTE}
