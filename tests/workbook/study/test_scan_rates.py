"""Rates of the exact engine, on sets so small that only the tables' form is meant."""

import pytest

pytest.importorskip("faiss", reason="the rates need the packages of the workbook")

from workbook.study import scan_rates


def test_every_rate_is_measured_for_finlib_and_faiss():
    rates = scan_rates.measure_here(400, 3, 2, with_faiss=True)
    names = rates["work"].tolist()
    assert len(set(names)) == len(names) == 12
    assert sum("FAISS" in name for name in names) == 2
    assert (rates["seconds"] > 0).all()
    scanned = rates[rates["unit"] == "pairs compared"]
    assert (scanned["items"] == 400 * 399 // 2).all()
    found = rates[rates["unit"] == "pairs found"]
    assert (found["items"] > 0).all()


def test_families_are_near_each_other_and_far_from_others():
    packed = scan_rates.draw_families(1000)
    assert packed.shape == (1000, 32)
    i = scan_rates.pairs_within(packed, 85).i
    assert 0.2 < len(i) / (1000 * 999 / 2) < 0.3  # four families
