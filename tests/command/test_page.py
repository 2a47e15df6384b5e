"""The page of `finlib show`: offline, with names as text, saving marks as corrections."""

import json
import re
import shlex
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from finlib.command import page
from finlib.command.duplicates import DuplicatesRun
from finlib.hashing import tables

# A slash cannot stand in a file's name; a similar character takes its place.
HOSTILE = (
    '<img src=x onerror="document.title=1">&"\'</script><script>document.title=2</script>.png'
).replace("/", "∕")


@pytest.fixture
def pairs(tmp_path: Path) -> tuple[Path, list[str]]:
    """A table of 120 pairs of three files, one with a hostile name and one that is not there."""
    rng = np.random.default_rng(1)
    names = [str(tmp_path / name) for name in (HOSTILE, "plain.jpg", "missing.jpg")]
    for name in names[:2]:
        Image.fromarray(rng.integers(0, 256, (300, 400, 3), dtype=np.uint8)).save(name)
    rows = [(names[k % 3], names[(k + 1) % 3], k) for k in range(120)]
    tables.write_table(pd.DataFrame(rows, columns=list(tables.PAIRS)), tmp_path / "pairs.csv")
    return tmp_path / "pairs.csv", names


class Tags(HTMLParser):
    """The tags of a page with their attributes, and the data that its script reads."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.data = ""
        self.in_data = False
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.extend(attributes)
        self.in_data = ("id", "data") in attributes

    def handle_endtag(self, tag: str) -> None:
        self.in_data = False

    def handle_data(self, text: str) -> None:
        if self.in_data:
            self.data += text


def write_page(table: Path, by: str = "size", most: int = 1000) -> tuple[Path, dict]:
    """Make the page of a table; returns its file and the data in it."""
    output = table.with_suffix(".html")
    groups = page.list_groups(table, by, most).groups
    page.write_page(groups, output, "a title", most, workers=2)
    return output, json.loads(Tags(output).data)


def test_pairs_come_farthest_first(pairs: tuple[Path, list[str]]) -> None:
    table, (hostile, _, missing) = pairs
    output, data = write_page(table)
    captions = [caption for caption, *_ in data["groups"]]
    assert captions == [f"distance {distance}" for distance in range(119, -1, -1)]
    sources = {path: thumbnail for path, thumbnail, *_ in data["images"]}
    assert sources[hostile].startswith("data:image/jpeg;base64,")
    assert sources[missing] == ""
    groups = page.list_groups(table, "size", 1000).groups
    assert page.write_page(groups, output, "a title", 1000) == (120, 1, 0)


def test_names_are_no_tags_and_nothing_is_asked_from_elsewhere(
    pairs: tuple[Path, list[str]], tmp_path: Path
) -> None:
    hostile = Tags(write_page(pairs[0])[0])
    tables.write_table(pd.DataFrame([], columns=list(tables.PAIRS)), tmp_path / "none.csv")
    empty = Tags(write_page(tmp_path / "none.csv")[0])
    assert hostile.tags == empty.tags
    assert hostile.attributes == empty.attributes
    assert not {"src", "href"} & {name for name, _ in hostile.attributes}
    (policy,) = [value for _, value in hostile.attributes if value and "default-src" in value]
    assert policy.startswith("default-src 'none'; img-src data: file:;")
    text = pairs[0].with_suffix(".html").read_text(encoding="utf-8")
    assert not re.findall(r"https?:|@import|url\(", text)


def test_no_more_images_than_asked_for(pairs: tuple[Path, list[str]]) -> None:
    assert len(write_page(pairs[0], most=40)[1]["groups"]) == 20


def test_clusters_by_size_and_by_doubt(tmp_path: Path) -> None:
    rows = [
        ("a", 0, 2, 3),
        ("b", 0, 2, 40),
        ("c", 1, 3, 1),
        ("d", 1, 3, 2),
        ("e", 1, 3, 2),
        ("f", 2, 1, 0),
    ]
    tables.write_table(pd.DataFrame(rows, columns=list(tables.CLUSTERS)), tmp_path / "c.parquet")
    for by, expected in (
        ("size", [["c", "d", "e"], ["a", "b"]]),
        ("doubt", [["b", "a"], ["d", "e", "c"]]),
    ):
        groups, total = page.list_groups(tmp_path / "c.parquet", by, 9)
        assert [paths for _, paths, _ in groups] == expected
        assert (
            page.list_groups(tmp_path / "c.parquet", by, 1)
            == (groups[:1], total)
            == (groups[:1], 2)
        )


def test_tables_of_many_parts_give_the_same_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(5)
    pairs = pd.DataFrame(
        {"path_a": map(str, range(500)), "path_b": "b", "distance": rng.integers(0, 90, 500)}
    )
    cluster = rng.integers(0, 60, 500)
    size = np.bincount(cluster)[cluster]
    clusters = pd.DataFrame(
        {"path": map(str, range(500)), "cluster": cluster, "size": size, "distance": cluster % 7}
    )
    found = []
    for rows in (1 << 17, 7):
        monkeypatch.setattr(tables, "BATCH_ROWS", rows)
        for name, table in (("pairs", pairs), ("clusters", clusters)):
            tables.write_table(table, tmp_path / f"{name}.parquet")
            found.append(page.list_groups(tmp_path / f"{name}.parquet", "doubt", 20))
    assert found[:2] == found[2:]
    expected = pairs.sort_values("distance", ascending=False, kind="stable").head(20)
    assert [paths[0] for _, paths, _ in found[0][0]] == expected["path_a"].tolist()
    assert (found[0][1], found[1][1]) == (500, (np.bincount(cluster) > 1).sum())


@pytest.fixture(scope="module")
def browser():
    """Chromium, offline, where it and the package playwright are installed."""
    sync_api = pytest.importorskip("playwright.sync_api")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("Chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


def opened(browser, file: Path):
    context = browser.new_context(offline=True, accept_downloads=True)
    view = context.new_page()
    errors: list[str] = []
    view.on("pageerror", lambda error: errors.append(str(error)))
    view.on(
        "console", lambda message: errors.append(message.text) if message.type == "error" else None
    )
    view.goto(file.as_uri())
    return view, errors


def saved(view, folder: Path) -> list[list[str]]:
    folder.mkdir(exist_ok=True)
    with view.expect_download() as download:
        view.click("#save")
    download.value.save_as(folder / "corrections.csv")
    return (
        pd.read_csv(folder / "corrections.csv", dtype=str, keep_default_na=False)
        .iloc[:, :3]
        .to_numpy()
        .tolist()
    )


def test_pairs_in_a_real_browser(browser, pairs: tuple[Path, list[str]], tmp_path: Path) -> None:
    output, data = write_page(pairs[0])
    view, errors = opened(browser, output)
    assert view.title() == "a title"  # and not what the hostile name would make it
    assert view.locator("section").count() == 50
    assert view.locator("figcaption").filter(has_text="onerror").first.inner_text() == pairs[1][0]
    assert view.evaluate(
        "[...document.images].every(image => image.complete && image.naturalWidth > 0)"
    )
    view.click("section:nth-of-type(2) button.wrong")
    view.click("#on")
    view.click("#on")
    assert view.locator("#place").inner_text() == "page 3 of 3, 120 groups"
    assert view.locator("section").count() == 20
    view.click("section:nth-of-type(1) button.right")
    view.click("section:nth-of-type(3) button.right")
    view.click("section:nth-of-type(3) button.right")  # taken back
    paths = [path for path, *_ in data["images"]]
    marked = [(data["groups"][k][1], verdict) for k, verdict in ((1, "wrong"), (100, "right"))]
    assert saved(view, tmp_path) == [[paths[a], paths[b], verdict] for (a, b), verdict in marked]
    assert errors == []


def test_clusters_in_a_real_browser(browser, tmp_path: Path) -> None:
    names = [str(tmp_path / f"{k}.png") for k in range(4)]
    for k, name in enumerate(names):
        Image.new("RGB", (40, 30), (60 * k, 0, 0)).save(name)
    rows = [(name, 0, 4, k) for k, name in enumerate(names)]
    tables.write_table(pd.DataFrame(rows, columns=list(tables.CLUSTERS)), tmp_path / "clusters.csv")
    view, errors = opened(browser, write_page(tmp_path / "clusters.csv")[0])
    view.click("figure:nth-of-type(1)")
    view.focus("figure:nth-of-type(3)")
    view.keyboard.press("Enter")
    apart = [[names[a], names[b], "wrong"] for a, b in ((0, 1), (0, 2), (1, 2), (0, 3), (2, 3))]
    assert saved(view, tmp_path) == apart
    view.click("button.right")
    assert saved(view, tmp_path) == [*apart[:4], [names[1], names[3], "right"], apart[4]]
    assert errors == []


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("kind", [tables.PAIRS, tables.CLUSTERS])
def test_a_table_without_rows_is_a_page_without_groups(
    tmp_path: Path, kind: tuple[str, ...], suffix: str
) -> None:
    tables.write_table(pd.DataFrame([], columns=list(kind)), tmp_path / f"t{suffix}")
    assert write_page(tmp_path / f"t{suffix}")[1]["groups"] == []


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """The page of two groups of copies: three files with names that are hard to quote, and two."""
    folder = tmp_path / "it's \u00fc"
    folder.mkdir()
    for seed, count in ((0, 3), (1, 2)):
        levels = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
        picture = Image.fromarray(levels).resize((320, 240), Image.Resampling.BICUBIC)
        for number in range(count):
            picture.save(folder / f"{seed} {number}.png")
    picture.resize((160, 120)).save(folder / "1 1.png")
    DuplicatesRun([folder], keep=["largest"], then="script", workers=1).write(tmp_path / "g.csv")
    return tmp_path / "g.html"


def names_in(rows: list[list[str]]) -> list[tuple[str, str, str]]:
    return [(Path(one).name, Path(other).name, verdict) for one, other, verdict in rows]


def test_the_keyboard_alone_is_enough(browser, copies: Path, tmp_path: Path) -> None:
    view, errors = opened(browser, copies)
    for key in "jwjr":
        view.keyboard.press(key)
    focused = "document.activeElement.id"
    assert view.evaluate(focused) == "group1"  # the focus stays after a mark
    view.keyboard.press("w")
    view.keyboard.press("u")  # the last mark is taken back
    for key in ("k", "w", "ArrowRight", "ArrowRight", "x", "ArrowLeft", "b"):
        view.keyboard.press(key)
    marked = names_in(saved(view, tmp_path))
    assert marked == [
        ("0 0.png", "0 2.png", "wrong"),
        ("0 1.png", "0 2.png", "wrong"),
        ("0 1.png", "0 0.png", "keep"),
        ("1 0.png", "1 1.png", "right"),
    ]
    assert errors == []


def test_marks_survive_a_reload_and_a_saved_file_is_loaded(
    browser, copies: Path, tmp_path: Path
) -> None:
    view, errors = opened(browser, copies)
    view.click("#group0 figure:nth-of-type(3) img")
    view.click("#group0 figure:nth-of-type(2) button.keep")
    view.click("#group1 button.right")
    marked = saved(view, tmp_path)
    assert len(marked) == 4
    view.reload()
    assert saved(view, tmp_path) == marked
    other, _ = opened(browser, copies)  # a browser that has seen nothing yet
    assert saved(other, tmp_path / "other") == []
    other.set_input_files("#load", tmp_path / "corrections.csv")
    other.wait_for_selector("section.right")
    assert "2 groups are marked" in other.inner_text("#marked")
    assert saved(other, tmp_path) == marked
    (tmp_path / "notes.csv").write_text("a,b\n1,2\n")
    other.set_input_files("#load", tmp_path / "notes.csv")
    other.get_by_text("This file is no table of corrections").wait_for()
    assert errors == []


def test_two_pictures_are_shown_large(browser, copies: Path) -> None:
    view, errors = opened(browser, copies)
    facts = view.locator("#group1 .facts").all_inner_texts()
    assert facts[0].startswith("320 × 240 pixels, ")
    assert facts[1] == "the one to keep"
    assert facts[3].endswith(" bits from it")
    for key in "jjv":
        view.keyboard.press(key)
    sizes = "[...document.querySelectorAll('#sides img')].map(image => image.naturalWidth)"
    for _ in range(200):  # the page's policy does not let the browser wait by itself
        if view.evaluate(sizes) == [320, 160]:
            break
        view.wait_for_timeout(100)
    assert view.evaluate(sizes) == [320, 160]  # the files, not their thumbnails
    view.keyboard.press("Escape")
    assert not view.evaluate("document.getElementById('large').open")
    assert errors == []


def test_the_page_writes_what_the_command_writes(browser, copies: Path, tmp_path: Path) -> None:
    view, errors = opened(browser, copies)

    def downloaded(button: str) -> bytes:
        with view.expect_download() as download:
            view.click(button)
        download.value.save_as(tmp_path / "downloaded")
        return (tmp_path / "downloaded").read_bytes()

    script = downloaded("#script")
    calls = [shlex.split(line) for line in script.decode().splitlines() if line[:5] == "move "]
    expected = (tmp_path / "g.move.sh").read_text().splitlines()
    assert calls == [shlex.split(line) for line in expected if line[:5] == "move "]
    assert subprocess.run(["sh", "-n"], input=script, check=False).returncode == 0
    view.click("#group0 button.wrong")
    view.click("#group1 figure:nth-of-type(2) button.keep")
    (copy,) = downloaded("#list").decode().splitlines()
    assert Path(copy).name == "1 0.png"
    assert b"\nlink " not in downloaded("#link")
    assert errors == []


def test_a_table_cannot_make_the_page_read_pictures_from_anywhere(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    for name in ("mine", "elsewhere"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (40, 30), "red").save(tmp_path / name / "a.png")
    monkeypatch.chdir(tmp_path / "mine")
    other = tmp_path / "elsewhere" / "a.png"
    rows = pd.DataFrame({"path_a": ["a.png"], "path_b": [str(other)], "distance": [3]})
    rows.to_csv("pairs.csv", index=False)
    output = Path("page.html")

    def images_of_page() -> list[list[object]]:
        return json.loads(Tags(output).data)["images"]

    page.show_table(Path("pairs.csv"), output, "size", 100, 1, False)
    assert "1 images lie outside" in capsys.readouterr().err
    own, foreign = images_of_page()
    assert own[1]
    assert not foreign[1]
    assert other.as_uri() not in output.read_text(encoding="utf-8")
    page.show_table(Path("pairs.csv"), output, "size", 100, 1, True, [other.parent])
    assert "outside" not in capsys.readouterr().err
    assert all(image[1] for image in images_of_page())
