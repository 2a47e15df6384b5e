"""Pictures in a terminal: what is drawn, and where nothing is."""

import io
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from finlib.command import answer, cli, process
from finlib.command.blocks import can_show_pictures, draw_side_by_side
from finlib.hashing import tables
from finlib.hashing.execution import hash_files


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture
def colours(monkeypatch) -> None:
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.delenv("NO_COLOR", raising=False)


def test_each_cell_shows_two_pixels(tmp_path: Path) -> None:
    red, green, blue = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    pixels = np.array([[red, green], [blue, red], [green, blue]], np.uint8)
    file = tmp_path / "a.png"
    Image.fromarray(pixels).save(file)
    first, second = draw_side_by_side(str(file), str(file), os.terminal_size((80, 24)))
    upper = "\x1b[38;2;255;0;0m\x1b[48;2;0;0;255m▀\x1b[38;2;0;255;0m\x1b[48;2;255;0;0m▀\x1b[0m"
    lower = "\x1b[38;2;0;255;0m▀\x1b[38;2;0;0;255m▀\x1b[0m"
    assert first == f"{upper}  {upper}"
    assert second == f"{lower}  {lower}"


def test_pictures_fit_the_terminal(tmp_path: Path) -> None:
    wide = tmp_path / "wide.png"
    tall = tmp_path / "tall.png"
    rng = np.random.default_rng(1)
    Image.fromarray(rng.integers(0, 256, (50, 300, 3), np.uint8)).save(wide)
    Image.fromarray(rng.integers(0, 256, (300, 50, 3), np.uint8)).save(tall)
    for columns, lines in ((30, 20), (200, 50), (5, 4)):
        size = os.terminal_size((columns, lines))
        drawn = draw_side_by_side(str(wide), str(tall), size)
        assert 1 <= len(drawn) <= lines // 2
        for line in drawn:
            visible = re.sub(r"\x1b\[[0-9;]*m", "", line)
            assert len(visible) <= columns
    assert draw_side_by_side(str(wide), str(tall), os.terminal_size((2, 1))) == []


def test_nothing_is_drawn_of_what_cannot_be_read(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    Image.new("L", (9, 9)).save(file)
    size = os.terminal_size((80, 24))
    assert draw_side_by_side(str(file), str(tmp_path / "gone.png"), size) == []
    assert draw_side_by_side(str(file), str(file), size)


def test_only_terminals_with_colours_show_pictures(colours, monkeypatch) -> None:
    assert can_show_pictures(Terminal())
    assert not can_show_pictures(io.StringIO())
    assert not can_show_pictures(None)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not can_show_pictures(Terminal())
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("COLORTERM", "")
    assert not can_show_pictures(Terminal())


def test_the_answer_shows_the_nearest_match_in_a_terminal(
    album: Path, tmp_path: Path, colours, monkeypatch
) -> None:
    table = tmp_path / "h.csv"
    tables.write_table(hash_files(sorted(album.glob("*_1.png"))), table)
    picture = next(iter(sorted(album.glob("*_1.png"))))
    command = ["finlib", "match", str(picture), "--against", str(table), "--nearest", "2"]
    monkeypatch.setattr("sys.argv", command)
    printed = {}
    for name, stream in (("terminal", Terminal()), ("pipe", io.StringIO())):
        monkeypatch.setattr("sys.stdout", stream)
        assert process.run(cli.app) == 0
        printed[name] = stream.getvalue()
    assert "▀" in printed["terminal"]
    assert "\x1b" not in printed["pipe"]
    without = [line for line in printed["terminal"].splitlines() if "\x1b" not in line]
    assert without == printed["pipe"].splitlines()


def test_a_table_of_somebody_else_shows_no_picture_from_elsewhere(
    tmp_path: Path, colours, monkeypatch
) -> None:
    secret = tmp_path / "secret.png"
    Image.linear_gradient("L").save(secret)
    inside = tmp_path / "in"
    inside.mkdir()
    monkeypatch.chdir(inside)
    stream = Terminal()
    monkeypatch.setattr("sys.stdout", stream)
    answer.show_nearest(str(secret), str(secret), [inside])
    assert stream.getvalue() == ""
    answer.show_nearest(str(secret), str(secret), [tmp_path])
    assert stream.getvalue().startswith("\x1b")
