"""Costs and break-evens by hand."""

import os

import numpy as np
import pandas as pd
import pytest

from finlib.study import timing


def test_a_line_is_split_into_what_starting_and_what_each_item_takes() -> None:
    rows = [("a", 10, 3.0), ("a", 20, 5.0), ("b", 10, 1.0), ("b", 20, 2.0), ("a", 10, 3.0), ("b", 20, 2.0)]
    costs = timing.fixed_and_per_item(pd.DataFrame(rows, columns=["name", "items", "seconds"]))
    assert costs["name"].tolist() == ["a", "b"]
    assert costs["fixed"].tolist() == pytest.approx([1.0, 0.0], abs=1e-12)
    assert costs["per_item"].tolist() == pytest.approx([0.2, 0.1])


def test_one_size_gives_no_line() -> None:
    with pytest.raises(ValueError, match="two sizes"):
        timing.fixed_and_per_item(pd.DataFrame({"name": ["a"], "items": [1], "seconds": [1.0]}))


def test_break_even_by_hand() -> None:
    costs = pd.DataFrame({"fixed": [0.0, 2.0, 1.0], "per_item": [0.3, 0.1, 0.4]}, index=["serial", "fast", "slow"])
    found = timing.break_even(costs, "serial")
    assert found["fast"] == pytest.approx(10)
    assert np.isinf(found["slow"])


def test_many_names_are_different_and_lead_to_the_same_files(tmp_path) -> None:
    paths = [str(tmp_path / name) for name in ("a", "b")]
    for path in paths:
        open(path, "w").close()
    names = timing.many_names(paths, 5)
    assert len(set(names)) == 5
    assert [os.path.samefile(name, paths[i % 2]) for i, name in enumerate(names)] == [True] * 5
    with pytest.raises(ValueError, match="no paths"):
        timing.many_names([], 3)


def test_a_workers_memory_holds_what_it_imported() -> None:
    assert timing.worker_memory(os.getpid) > 10
