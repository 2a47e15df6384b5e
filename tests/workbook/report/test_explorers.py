"""Groups of pictures to look through, grouped by hand, their contact sheets and files; what the
calculator says."""

from functools import partial

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from PIL import Image

mpl.use("Agg")
import matplotlib.pyplot as plt

from finlib.clustering.null_model import NullModel
from workbook.report import explorers, plots
from workbook.report.chooser import Chosen
from workbook.study import costs

LABELS = np.array([0, 1, 1, 1, 2, 2, 1, 3])
FAMILIES = ["a", "a", "b", "b", "c", "c", "b", "b"]


def browser(folder, families):
    rng = np.random.default_rng(3)
    paths = [str(folder / f"{number}.png") for number in range(len(LABELS))]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (300, 40, 3), dtype=np.uint8)).save(path)
    return explorers.Browser(
        paths, rng.integers(0, 256, (len(LABELS), 32), dtype=np.uint8), LABELS, families
    )


@pytest.fixture
def known(tmp_path):
    return browser(tmp_path, FAMILIES)


@pytest.fixture
def unknown(tmp_path):
    return browser(tmp_path, [""] * len(LABELS))


def titled(figure):
    plt.close(figure)
    return figure.get_suptitle().replace("\n", " ")


def test_clusters_are_numbered_by_size_and_what_went_wrong_is_found(known):
    assert known.pictures["cluster"].tolist() == [3, 1, 1, 1, 2, 2, 1, 4]
    views = {name: [rows.tolist() for rows in groups] for name, groups in known.views.items()}
    assert views == {
        "clusters": [[1, 2, 3, 6], [4, 5], [0], [7]],
        "mixed clusters": [[1, 2, 3, 6]],
        "split families": [[0, 1], [2, 3, 6, 7]],
    }


def test_sheets_say_what_they_show_and_begin_with_the_rarest(known):
    figure = known.sheet("mixed clusters")
    assert [ax.get_title(loc="center") for ax in figure.axes[:4]] == ["family a", *["family b"] * 3]
    assert titled(figure).startswith("Mixed cluster 1 of 1: 4 images of 2 families, at most")
    figure = known.sheet("split families", 2)
    assert [ax.get_title(loc="center") for ax in figure.axes[:2]] == ["cluster 4", "cluster 1"]
    assert titled(figure) == "Split family 2 of 2: 4 images of family b are in 2 clusters"
    assert titled(known.sheet("mixed clusters", 9)).startswith(
        "Mixed cluster 1 of 1"
    )  # the last there is


def test_without_families_there_are_clusters_alone(unknown):
    assert list(unknown.views) == ["clusters"]
    figure = unknown.sheet()
    assert figure.axes[0].get_title(loc="center") == "1.png"
    assert titled(figure).startswith("Cluster 1 of 4: 4 images, at most")


def test_nothing_to_show_is_said(tmp_path):
    alone = browser(tmp_path, [str(number) for number in range(len(LABELS))])
    alone = explorers.Browser(alone.paths, alone.packed, np.arange(len(LABELS)), alone.families)
    figure = alone.sheet()
    shown = [ax.get_title(loc="center").removeprefix("family ") for ax in figure.axes[:2]]
    apart = np.bitwise_count(alone.packed[:, None] ^ alone.packed).sum(axis=2).astype(
        int
    ) + 999 * np.eye(8, dtype=int)
    assert (
        titled(figure)
        == f"No two of these 8 images make a cluster: the nearest are {apart.min()} bits apart"
    )
    assert apart[int(shown[0]), int(shown[1])] == apart.min()
    only = explorers.Browser(alone.paths[:1], alone.packed[:1], np.zeros(1, int), [""])
    assert titled(only.sheet()).startswith("Cluster 1 of 1: 1 image")
    assert titled(alone.sheet("mixed clusters")) == "There are no mixed clusters here"
    assert alone.listed("mixed clusters").empty


def test_what_is_seen_is_exported(known, tmp_path):
    said = known.export(tmp_path, "mixed clusters", number=1)
    written = pd.read_csv(tmp_path / "06_listed_mixed_clusters.csv", dtype={"family": str})
    assert said == f"4 files of 1 mixed cluster: {tmp_path / '06_listed_mixed_clusters.csv'}"
    assert written.to_numpy().tolist() == [
        [1, 1, FAMILIES[row], known.paths[row]] for row in (1, 2, 3, 6)
    ]
    said = known.export_sheet(tmp_path, "clusters", number=2)
    assert said.startswith("2 files of clusters, number 2: ")
    assert len(pd.read_csv(tmp_path / "06_listed_clusters_2.csv")) == 2
    assert known.listed("clusters")["number"].tolist() == [1] * 4 + [2] * 2 + [3, 4]
    box = plots.explorer(
        known.sheet,
        {"export": partial(known.export, tmp_path)},
        view=choice("split families"),
        number=choice(1),
    )
    box.children[0].children[-1].click()
    assert len(pd.read_csv(tmp_path / "06_listed_split_families.csv")) == 6


def choice(value):
    return pytest.importorskip("ipywidgets").Dropdown(options=[value])


def test_the_calculator_says_threshold_hours_memory_and_dollars():
    same = np.bincount([2] * 50 + [200] * 50, minlength=257)
    rates = costs.Rates(hash_seconds=0.36, join_pairs=5e8, search_pairs=1e9, match_rate=1e-6)
    ways = partial(costs.ways, rates, NullModel(128.5, 8.0), same, 1e-6)
    figure = explorers.calculator(ways, images=36_000, cores=10, dollars=0.5)
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels[0] == "hashing: 3.6 core hours, 21.6 min, USD 1.8"
    threshold = ways(images=[36_000])["threshold"].iloc[0]
    assert titled(figure).startswith("FINd's simulated distances, 36,000 images, 10 cores: ")
    assert (
        f"at a precision of 0.9 the threshold is {threshold:.0f} bits, which finds 50%"
        in titled(figure)
    )
    ways = partial(ways, matches_per_image=0)
    assert "no threshold keeps a precision of 0.9" in titled(explorers.calculator(ways, images=1e9))


@pytest.mark.parametrize(
    ("hours", "text"), [(0.001, "3.6 s"), (0.5, "30 min"), (4.07, "4.07 h"), (72, "3 days")]
)
def test_a_time_has_the_unit_that_suits_it(hours, text):
    assert explorers.duration(hours) == text


def test_a_threshold_says_which_pairs_it_gets_right(tmp_path):
    paths = browser(tmp_path, FAMILIES).paths
    packed = np.zeros((8, 32), np.uint8)
    packed[:, 0] = [
        0b0,
        0b1,
        0b11111,
        0b11111,
        0b0,
        0b111,
        0b1111111,
        0b1111111,
    ]  # families a a b b c c b b
    seen = explorers.Threshold(paths, np.array(FAMILIES), {"find": packed})
    matching, nonmatching = seen.pairs["find"]
    assert matching["distance"].tolist() == [0, 0, 1, 2, 2, 2, 2, 3]
    assert nonmatching["distance"].tolist() == [0, 2, 4]
    for threshold, title, wrong in (
        (1, "37.5% of family pairs and confuses 1 pair", 3),
        (256, "100.0% of family pairs and confuses 3", 3),
    ):
        fig = seen.draw("find", threshold)
        text = [ax.get_title() for ax in fig.axes]
        assert sum("WRONG" in t for t in text) == wrong
        assert title in " ".join(t.get_text() for t in fig.texts) + str(fig._suptitle)
        plt.close(fig)


def test_a_threshold_compares_by_the_distance_of_its_method(tmp_path):
    """Four bits of a row differ within each family, of which three count by rows."""
    paths = browser(tmp_path, FAMILIES).paths
    packed = np.full((8, 32), 0b01010101, np.uint8)
    packed[1::2, 0] ^= 0b1111
    by_method = {"dhash256": packed, "dhash256-rows": packed}
    seen = explorers.Threshold(
        paths, np.array(FAMILIES), by_method, distances={"dhash256-rows": "rows"}
    )
    assert seen.pairs["dhash256"].matching["distance"].max() == 4
    assert seen.pairs["dhash256-rows"].matching["distance"].max() == 3
    fig = seen.draw("dhash256-rows", 3)
    assert titled(fig).startswith("dHash 256 by rows at 3 bits finds 100.0% of family pairs")


def test_pairs_of_families_count_however_far_apart_they_are(tmp_path):
    """By rows, unrelated pictures differ in nearly all that counts."""
    paths = browser(tmp_path, FAMILIES).paths
    rng = np.random.default_rng(3)
    packed = rng.integers(0, 256, (8, 32), dtype=np.uint8)
    seen = explorers.Threshold(
        paths, np.array(FAMILIES), {"dhash256-rows": packed}, {"dhash256-rows": "rows"}
    )
    families = len(set(FAMILIES))
    nonmatching = seen.pairs["dhash256-rows"].nonmatching
    assert len(nonmatching) == families * (families - 1) // 2
    assert nonmatching["distance"].min() > 24


def test_matches_are_the_pictures_within_the_threshold(tmp_path, picture):
    paths = []
    for name, changed in {"a": picture, "b": picture, "c": picture.rotate(180)}.items():
        paths.append(str(tmp_path / f"{name}.png"))
        changed.save(paths[-1])
    matches = explorers.Matches(paths)
    nearest = matches.nearest(matches.packed[0], without=0)
    assert nearest["path"].tolist() == paths[1:]
    assert nearest["distance"].iloc[0] == 0 < nearest["distance"].iloc[1]
    chosen = Chosen(paths[0], 0)
    fig = matches.draw(chosen, 0)
    assert fig.get_suptitle().startswith("1 of 2 other pictures matches")
    shown = [ax for ax in fig.axes if ax.images]
    assert [ax.images[0].get_alpha() for ax in shown] == [None, None, 0.35]
    dropped = {"name": "a.png", "content": (tmp_path / "a.png").read_bytes()}
    fig = matches.draw(Chosen(dropped, None), 0)
    assert fig.get_suptitle().startswith("2 of 3 other pictures match")
    plt.close("all")
