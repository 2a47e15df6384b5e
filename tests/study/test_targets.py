"""Costs and targets: what is timed is compared first."""

import numpy as np
import pytest
from PIL import Image

from finlib.hashers import HASHERS
from finlib.study import targets


@pytest.fixture
def few_jpegs(tmp_path, picture):
    paths = []
    for turn in range(3):
        paths.append(tmp_path / f"{turn}.jpg")
        picture.rotate(90 * turn, expand=True).save(paths[-1])
    return paths


def test_costs_of_methods_have_both_sides(few_jpegs):
    names = [*HASHERS, "find+dhash256"]
    costs = targets.method_costs(few_jpegs, names, repeats=2).set_index("hasher")
    assert list(costs.index) == names
    assert costs.loc["find+dhash256", "bytes"] == 64
    assert costs.loc["find+dhash256", "installed_ms"] == pytest.approx(
        costs.loc[["find", "dhash256"], "installed_ms"].sum()
    )
    assert (costs["low"] <= costs["ms"]).all()
    assert (costs["ms"] <= costs["high"]).all()


def test_costs_refuse_hashes_that_differ(few_jpegs, monkeypatch):
    monkeypatch.setattr(targets, "as_installed", lambda name: lambda path: np.zeros(8, np.uint8))
    with pytest.raises(AssertionError, match="ahash64 differs"):
        targets.method_costs(few_jpegs, ["ahash64"], repeats=1)


@pytest.mark.parametrize("name", list(HASHERS))
def test_as_installed_is_the_same_hash(name, tmp_path):
    path = tmp_path / "large.png"
    Image.radial_gradient("L").resize((530, 610)).save(path)
    if name != "find":  # as FIN ships it, half a minute at that size
        assert np.array_equal(targets.as_installed(name)(path), HASHERS[name].from_file(path))
