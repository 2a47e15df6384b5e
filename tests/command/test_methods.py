"""Methods, and the command line where it is given a distance."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from finlib.command import cli, methods, page, process
from finlib.command.methods import Method
from finlib.hashing import tables
from finlib.hashing.decoding import VARIANTS, open_picture
from finlib.hashing.hashers import HASHERS, get_hasher
from finlib.matching import pairs as engine, thresholds
from finlib.matching.distances import DISTANCES
from finlib.matching.pairs import Pairs, neighbours, pairs_between, pairs_within
from finlib.matching.row_keys import WholeRows
from finlib.matching.rows import RowDistance

BY_ROWS = ["--distance", "rows"]


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    """The exit status of a command in this process."""
    monkeypatch.setattr(sys, "argv", ["finlib", *map(str, words)])
    return process.run(cli.app)


def draw_hashes(n: int, size: int, seed: int = 3) -> NDArray[np.uint8]:
    """Hashes of `size` bytes; the second half are copies of the first with a few bits changed, and
    some rows are flat.
    """
    rng = np.random.default_rng(seed)
    packed = rng.integers(0, 256, (n, size), dtype=np.uint8)
    noise = rng.integers(0, 256, (n // 2, size)) * (rng.random((n // 2, size)) < 0.1)
    packed[n - n // 2 :] = packed[: n // 2] ^ noise.astype(np.uint8)
    packed[: n // 10, -4:] = 0
    return packed


def write_hashes(packed: NDArray[np.uint8], hasher: str, path: Path) -> Path:
    rows = []
    for number, row in enumerate(packed):
        text = row.tobytes().hex()
        rows.append((f"{number:04d}.png", "", 9, 9, hasher, text, 50.0, "", number, number))
    tables.write_table(tables.rows_to_arrow(rows).to_pandas(), path)
    return path


def numbered_pairs(file: Path) -> list[tuple[int, int, int]]:
    """The pairs of a table as row numbers and distances, in order."""
    pairs = tables.read_columns(file)
    pairs["path_a"] = pairs["path_a"].str[:4].astype(int)
    pairs["path_b"] = pairs["path_b"].str[:4].astype(int)
    columns = pairs[["path_a", "path_b", "distance"]]
    return sorted(columns.itertuples(index=False, name=None))


def as_tuples(pairs: Pairs) -> list[tuple[int, int, int]]:
    columns = (pairs.i.tolist(), pairs.j.tolist(), pairs.distance.tolist())
    return sorted(zip(*columns, strict=True))


def test_a_method_has_the_name_that_the_evidence_gives_it() -> None:
    assert Method("find").name == "find"
    assert Method("dhash256", "rows").name == "dhash256-rows"
    assert Method("find+dhash256", "rows").name == "find+dhash256-rows"
    assert Method("dhash256").describe(12) == "12 bits"
    assert Method("dhash256", "rows").describe(12) == "a distance of 12 by rows"


def test_a_method_knows_its_largest_distance() -> None:
    assert Method("find+dhash256").largest == 512
    assert Method("dhash256", "rows").largest == 48
    assert Method("find+dhash256", "rows").largest == RowDistance(32).largest == 400


@pytest.mark.parametrize("hasher", ["find", "dhash64", "dhash256+find", "phash256"])
def test_rows_need_a_dhash_of_256_bits_at_the_end(hasher: str) -> None:
    assert methods.fits(hasher, "hamming")
    assert not methods.fits(hasher, "rows")
    with pytest.raises(ValueError, match="have no rows to compare"):
        Method(hasher, "rows")


def test_other_distances_are_answered_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="must be hamming or rows, not euclid"):
        Method("find", "euclid")


@pytest.mark.parametrize(
    ("hasher", "size", "radius"), [("dhash256", 32, 25), ("find+dhash256", 64, 130)]
)
def test_pairs_by_rows_are_those_of_the_engine(
    hasher: str, size: int, radius: int, tmp_path: Path, monkeypatch, capsys
) -> None:
    packed = draw_hashes(300, size)
    expected = as_tuples(pairs_within(packed, radius, distance="rows"))
    assert len(expected) > 50
    table = write_hashes(packed, hasher, tmp_path / "h.parquet")
    options = [*BY_ROWS, "--radius", radius]
    for name in ("pairs.parquet", "pairs.csv"):
        assert run(monkeypatch, "match", table, "-o", tmp_path / name, *options) == 0
        assert numbered_pairs(tmp_path / name) == expected
    assert f"within a distance of {radius} by rows were found" in capsys.readouterr().err


def test_pairs_by_rows_against_others_are_those_of_the_engine(tmp_path: Path, monkeypatch) -> None:
    packed = draw_hashes(200, 32)
    new = write_hashes(packed, "dhash256", tmp_path / "new.parquet")
    stored = write_hashes(packed[::-1].copy(), "dhash256", tmp_path / "stored.parquet")
    output = tmp_path / "pairs.parquet"
    options = [*BY_ROWS, "--radius", 25, "--against", stored]
    assert run(monkeypatch, "match", new, "-o", output, *options) == 0
    pairs = pairs_between(packed, packed[::-1].copy(), 25, distance="rows")
    # Both tables use the names 0000.png and so on; a file is not paired with one of its own name.
    others = [pair for pair in as_tuples(pairs) if pair[0] != pair[1]]
    assert numbered_pairs(output) == others
    assert len(others) > 50


def test_the_nearest_by_rows_are_those_of_the_engine(tmp_path: Path, monkeypatch) -> None:
    packed = draw_hashes(200, 32)
    table = write_hashes(packed, "dhash256", tmp_path / "h.parquet")
    output = tmp_path / "nearest.parquet"
    assert run(monkeypatch, "match", table, "-o", output, *BY_ROWS, "--nearest", 2) == 0
    nearest = neighbours(packed, k=2, distance="rows")
    query = np.repeat(np.arange(200), np.diff(nearest.indptr))
    assert numbered_pairs(output) == as_tuples(Pairs(query, nearest.indices, nearest.distance))


@pytest.mark.parametrize("wanted", [["--radius", 25], ["--radius", 25, "--nearest", 2]])
def test_row_keys_give_the_same_table_also_where_the_stored_table_changes(
    wanted: list[object], tmp_path: Path, monkeypatch
) -> None:
    packed = draw_hashes(300, 32)
    new = write_hashes(packed, "dhash256", tmp_path / "new.parquet")
    for number in range(2):
        changed = np.roll(packed[::-1], number, axis=0)
        stored = write_hashes(changed, "dhash256", tmp_path / "stored.parquet")
        found = []
        for is_worth_sorting in (False, True):
            monkeypatch.setattr(
                engine, "is_worth_sorting", lambda *_, answer=is_worth_sorting: answer
            )
            monkeypatch.setattr(WholeRows, "is_faster", lambda *_: True)
            output = tmp_path / f"{number}_{is_worth_sorting}.parquet"
            options = [*BY_ROWS, *wanted, "--against", stored]
            assert run(monkeypatch, "match", new, "-o", output, *options) == 0
            found.append(tables.read_columns(output))
        pd.testing.assert_frame_equal(*found)
        assert len(found[0]) > 50


def test_mirror_images_are_compared_by_rows(album: Path, tmp_path: Path, monkeypatch) -> None:
    table = tmp_path / "h.parquet"
    output = tmp_path / "pairs.parquet"
    assert run(monkeypatch, "hash", album, "-o", table, "--hasher", "dhash256") == 0
    options = [*BY_ROWS, "--radius", 47, "--mirrored"]
    assert run(monkeypatch, "match", table, "-o", output, *options) == 0
    paths = tables.hashed_rows(tables.read_hashes(table))["path"].tolist()
    numbers = [VARIANTS.index("as it is"), VARIANTS.index("mirrored")]
    hasher = get_hasher("dhash256")
    hashes = np.stack([hasher.variants(open_picture(path), numbers) for path in paths])
    expected = set()
    for place, name in enumerate(["as it is", "mirrored"]):
        variant = np.ascontiguousarray(hashes[:, place])
        plain = np.ascontiguousarray(hashes[:, 0])
        pairs = pairs_between(variant, plain, 47, distance="rows")
        for i, j, distance in as_tuples(pairs):
            if i < j:
                expected.add((paths[i], paths[j], distance, name))
    assert set(pd.read_parquet(output).itertuples(index=False, name=None)) == expected
    assert {name for *_, name in expected} == {"as it is", "mirrored"}


def test_the_number_of_pairs_is_estimated_by_rows(tmp_path: Path, monkeypatch, capsys) -> None:
    # By bits all pairs of flat pictures are equal; by rows they are as far apart as can be.
    flat = np.zeros((20, 32), np.uint8)
    table = write_hashes(flat, "dhash256", tmp_path / "flat.parquet")
    command = ["match", table, "--radius", 0, "--max-pairs", 100, "-o", tmp_path / "p.csv"]
    assert run(monkeypatch, *command) == 2
    assert "About 190 pairs are expected, more than the 100 allowed" in capsys.readouterr().err
    assert run(monkeypatch, *command, *BY_ROWS) == 0
    assert "About 0 pairs are expected" in capsys.readouterr().err


def test_a_radius_by_rows_is_at_most_the_largest_distance(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    table = write_hashes(draw_hashes(20, 32), "dhash256", tmp_path / "h.parquet")
    command = ["match", table, "-o", tmp_path / "p.csv", "--radius"]
    assert run(monkeypatch, *command, 48, *BY_ROWS) == 0
    assert len(pd.read_csv(tmp_path / "p.csv")) == 190
    assert run(monkeypatch, *command, 49, *BY_ROWS, "--overwrite") == 2
    assert "radius must be from 0 to 48" in capsys.readouterr().err
    assert run(monkeypatch, *command, 49, "--overwrite") == 0


def test_hashes_without_rows_are_refused_before_pictures_are_hashed(
    album: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    table = write_hashes(draw_hashes(20, 32), "find", tmp_path / "h.parquet")
    for source in (table, album):
        output = tmp_path / "p.csv"
        assert run(monkeypatch, "match", source, "-o", output, *BY_ROWS, "--radius", 3) == 2
        said = capsys.readouterr().err.splitlines()
        assert said[-1].startswith("finlib: The hashes of find have no rows to compare.")
        # A hashed album would be announced by the file in it that is damaged.
        assert not [line for line in said if "not hashed" in line]
        assert not output.exists()


def test_evidence_is_that_of_the_method(tmp_path: Path, monkeypatch, capsys) -> None:
    table = write_hashes(draw_hashes(60, 40), "dhash64+dhash256", tmp_path / "h.parquet")
    output = tmp_path / "p.csv"
    command = ["match", table, "-o", output, *BY_ROWS]
    for criterion in (["--false-pairs", 1], ["--precision", 0.9]):
        assert run(monkeypatch, *command, *criterion) == 2
        said = capsys.readouterr().err
        assert "for the method 'dhash64+dhash256-rows'; there is for find, phash256" in said
    assert not output.exists()
    assert run(monkeypatch, *command, "--radius", 60) == 0  # there is nothing to estimate from
    assert "may be false" not in capsys.readouterr().err


def test_a_radius_from_evidence_by_rows(tmp_path: Path, monkeypatch, capsys) -> None:
    known = thresholds.Evidence(
        distance=np.array([0, 6, 12, 18]),
        nonmatching=np.array([1e-9, 1e-6, 1e-4, 1e-1]),
        matching=np.array([0.1, 0.5, 0.75, 0.9]),
        least_measured=6,
    )
    evidence_of = {"dhash256-rows": known}
    monkeypatch.setattr(thresholds, "evidence", evidence_of.__getitem__)
    packed = draw_hashes(100, 32)
    table = write_hashes(packed, "dhash256", tmp_path / "h.parquet")
    output = tmp_path / "p.csv"
    assert run(monkeypatch, "match", table, "-o", output, *BY_ROWS, "--false-pairs", 1) == 0
    said = capsys.readouterr().err
    assert "The radius is a distance of 12 by rows, by the evidence on dhash256-rows" in said
    assert "It finds about 75% of the matching pairs." in said
    assert numbered_pairs(output) == as_tuples(pairs_within(packed, 12, distance="rows"))
    assert "About 0.5 of them may be false." in said


def test_a_parquet_table_records_its_method(tmp_path: Path, monkeypatch) -> None:
    table = write_hashes(draw_hashes(40, 64), "find+dhash256", tmp_path / "h.parquet")
    output = tmp_path / "p.parquet"
    for distance, largest in (("hamming", 512), ("rows", 400)):
        options = ["--distance", distance, "--nearest", 1, "--overwrite"]
        assert run(monkeypatch, "match", table, "-o", output, *options) == 0
        recorded = tables.read_distance_metadata(output)
        assert recorded == ("find+dhash256", distance, largest)
    assert run(monkeypatch, "match", table, "-o", output, *BY_ROWS, "--nearest", 1) == 2


@pytest.mark.parametrize(
    ("distance", "words"), [("hamming", "bits apart"), ("rows", "of at most 48, by rows")]
)
def test_the_page_says_what_a_distance_is(
    distance: str, words: str, tmp_path: Path, monkeypatch
) -> None:
    table = write_hashes(draw_hashes(20, 32), "dhash256", tmp_path / "h.parquet")
    pairs = tmp_path / "p.parquet"
    options = ["--distance", distance, "--nearest", 1]
    assert run(monkeypatch, "match", table, "-o", pairs, *options) == 0
    numbers = sorted(pd.read_parquet(pairs)["distance"], reverse=True)
    groups = page.list_groups(pairs, "size", 100).groups
    assert [group.caption for group in groups] == [f"{number} {words}" for number in numbers]
    assert run(monkeypatch, "show", pairs, "-o", tmp_path / "p.html") == 0
    assert json.dumps(f"{numbers[0]} {words}") in (tmp_path / "p.html").read_text()


def test_evaluate_scores_by_each_distance_that_fits(
    album: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    output = tmp_path / "scores.csv"
    hashers = ["--hasher", "find", "--hasher", "dhash256"]
    both = ["--distance", "rows", "--distance", "hamming"]
    command = ["evaluate", album, "-o", output, "--workers", 1, "--overwrite"]
    assert run(monkeypatch, *command, *hashers, *both) == 0
    scores = pd.read_csv(output)
    assert list(scores)[:3] == ["hasher", "bits", "distance"]
    assert scores[["hasher", "distance"]].to_numpy().tolist() == [
        ["find", "hamming"],
        ["dhash256", "rows"],
        ["dhash256", "hamming"],
    ]
    assert scores["threshold_f1"].iloc[1] <= 48
    capsys.readouterr()
    assert run(monkeypatch, *command, *hashers, *BY_ROWS) == 0
    assert pd.read_csv(output)["hasher"].tolist() == ["dhash256"]
    assert "left out because they cannot be compared by rows: find." in capsys.readouterr().err
    assert run(monkeypatch, *command, "--hasher", "find", *BY_ROWS) == 2
    assert "cannot be compared by rows: find." in capsys.readouterr().err


def test_all_single_hashers_can_be_asked_for_by_rows(capsys) -> None:
    from finlib.command.evaluate import choose_methods

    assert choose_methods(list(HASHERS), ["rows"]) == {"dhash256": ["rows"]}
    assert choose_methods(["dhash256"], ["rows", "rows"]) == {"dhash256": ["rows"]}
    with pytest.raises(ValueError, match="must be hamming or rows"):
        choose_methods(list(HASHERS), ["euclid"])


@pytest.mark.parametrize("command", ["match", "evaluate"])
def test_help_names_every_distance(command: str, monkeypatch, capsys) -> None:
    assert run(monkeypatch, command, "--help") == 0
    assert f"--distance {'|'.join(DISTANCES)}" in " ".join(capsys.readouterr().out.split())


def write_families(path: Path, hasher: str, families: range) -> Path:
    """Hashes of families of four, of which a caption has replaced a few rows of the dHash."""
    size = get_hasher(hasher).bits // 8
    packed = []
    for family in families:
        rng = np.random.default_rng(family)
        template = rng.integers(0, 256, size, dtype=np.uint8)
        for _ in range(4):
            captioned = template.copy()
            captioned[-6:] = rng.integers(0, 256, 6, dtype=np.uint8)
            packed.append(captioned)
    return write_hashes(np.array(packed), hasher, path)


@pytest.mark.parametrize("hasher", ["dhash256", "find+dhash256"])
def test_clusters_by_rows_are_recorded_and_extended_by_rows(
    hasher: str, tmp_path: Path, monkeypatch, capsys
) -> None:
    hashes = write_families(tmp_path / "h.parquet", hasher, range(25))
    clusters = tmp_path / "c.parquet"
    assert run(monkeypatch, "cluster", hashes, *BY_ROWS, "-o", clusters) == 0
    assert "by rows apart were united" in capsys.readouterr().err
    table = tables.read_columns(clusters)
    assert table["cluster"].tolist() == np.arange(25).repeat(4).tolist()
    metadata = tables.read_distance_metadata(clusters)
    assert metadata is not None
    assert (metadata.hasher, metadata.distance) == (hasher, "rows")
    assert table["distance"].max() <= metadata.largest
    more = write_families(tmp_path / "more.parquet", hasher, range(20, 40))
    renamed = tables.read_hashes(more)
    renamed["path"] = "new" + renamed["path"]
    tables.write_table(renamed, more)
    later = tmp_path / "later.csv"
    assert run(monkeypatch, "cluster", more, "--onto", clusters, "-o", later) == 0
    grown = tables.read_columns(later)["cluster"].tolist()
    assert grown == [*np.arange(25).repeat(4), *np.arange(20, 40).repeat(4)]
    capsys.readouterr()
    words = ["cluster", more, "--onto", clusters, "--distance", "hamming", "-o", tmp_path / "x.csv"]
    assert run(monkeypatch, *words) == 2
    assert "were made with --distance rows, not hamming" in capsys.readouterr().err


def test_clusters_by_rows_need_rows(tmp_path: Path, monkeypatch, capsys) -> None:
    hashes = write_families(tmp_path / "h.parquet", "find", range(3))
    assert run(monkeypatch, "cluster", hashes, *BY_ROWS, "-o", tmp_path / "c.csv") == 2
    assert "have no rows to compare" in capsys.readouterr().err
