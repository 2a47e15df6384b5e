"""The page that `finlib show` makes: whole without a network, names shown as text, marks saved as corrections."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from finlib.command import page
from finlib.hashing import tables

EVIL = '<img src=x onerror="document.title=1">&"\'</script><script>document.title=2</script>.png'.replace(
    "/", "∕"
)


@pytest.fixture
def pairs(tmp_path: Path) -> tuple[Path, list[str]]:
    """A table of 120 pairs of three files, one with a hostile name and one that is not there."""
    rng = np.random.default_rng(1)
    names = [str(tmp_path / name) for name in (EVIL, "plain.jpg", "missing.jpg")]
    for name in names[:2]:
        Image.fromarray(rng.integers(0, 256, (300, 400, 3), dtype=np.uint8)).save(name)
    rows = [(names[k % 3], names[(k + 1) % 3], k) for k in range(120)]
    tables.write_table(pd.DataFrame(rows, columns=list(tables.PAIRS)), tmp_path / "pairs.csv")
    return tmp_path / "pairs.csv", names


def made(table: Path, by: str = "size", most: int = 1000) -> tuple[Path, dict]:
    output = table.with_suffix(".html")
    page.write_page(page.groups_of(table, by, most)[0], output, "a title", most, workers=2)
    (data,) = re.findall(
        r'<script id="data" type="application/json">(.*)</script>', output.read_text()
    )
    return output, json.loads(data)


def test_pairs_come_farthest_first_and_nothing_is_asked_from_elsewhere(
    pairs: tuple[Path, list[str]],
) -> None:
    output, data = made(pairs[0])
    assert page.write_page(page.groups_of(pairs[0], "size", 1000)[0], output, "a title", 1000) == (
        120,
        1,
    )
    assert [said for said, _ in data["groups"][:2]] == ["119 bits apart", "118 bits apart"]
    sources = dict(data["images"])
    assert sources[pairs[1][0]].startswith("data:image/jpeg;base64,")
    assert sources[pairs[1][2]] == ""
    text = output.read_text()
    assert EVIL not in text
    assert text.count("<script") == 2
    assert not re.findall(r"(?:src|href)\s*=\s*[\"']?https?:|@import|url\(", text)


def test_no_more_images_than_asked_for(pairs: tuple[Path, list[str]]) -> None:
    assert len(made(pairs[0], most=40)[1]["groups"]) == 20


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
        groups, total = page.groups_of(tmp_path / "c.parquet", by, 9)
        assert [paths for _, paths in groups] == expected
        assert (
            page.groups_of(tmp_path / "c.parquet", by, 1) == (groups[:1], total) == (groups[:1], 2)
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
            found.append(page.groups_of(tmp_path / f"{name}.parquet", "doubt", 20))
    assert found[:2] == found[2:]
    expected = pairs.sort_values("distance", ascending=False, kind="stable").head(20)
    assert [paths[0] for _, paths in found[0][0]] == expected["path_a"].tolist()
    assert (found[0][1], found[1][1]) == (500, (np.bincount(cluster) > 1).sum())


@pytest.fixture(scope="module")
def browser():
    """Chromium, offline, where it and the package playwright are at hand."""
    sync_api = pytest.importorskip("playwright.sync_api")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium at hand")
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
    with view.expect_download() as download:
        view.click("#save")
    download.value.save_as(folder / "corrections.csv")
    return (
        pd.read_csv(folder / "corrections.csv", dtype=str, keep_default_na=False)
        .to_numpy()
        .tolist()
    )


def test_pairs_in_a_real_browser(browser, pairs: tuple[Path, list[str]], tmp_path: Path) -> None:
    output, data = made(pairs[0])
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
    paths = [path for path, _ in data["images"]]
    marked = [(data["groups"][k][1], verdict) for k, verdict in ((1, "wrong"), (100, "right"))]
    assert saved(view, tmp_path) == [[paths[a], paths[b], verdict] for (a, b), verdict in marked]
    assert errors == []


def test_clusters_in_a_real_browser(browser, tmp_path: Path) -> None:
    names = [str(tmp_path / f"{k}.png") for k in range(4)]
    for k, name in enumerate(names):
        Image.new("RGB", (40, 30), (60 * k, 0, 0)).save(name)
    rows = [(name, 0, 4, k) for k, name in enumerate(names)]
    tables.write_table(pd.DataFrame(rows, columns=list(tables.CLUSTERS)), tmp_path / "clusters.csv")
    view, errors = opened(browser, made(tmp_path / "clusters.csv")[0])
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
    assert made(tmp_path / f"t{suffix}")[1]["groups"] == []
