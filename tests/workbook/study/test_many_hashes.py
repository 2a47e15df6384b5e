"""Files hashed by many hashers with few decodings: the same tables as one by one."""

import numpy as np
import pandas as pd
from PIL import Image

from finlib.hashing.execution import hash_files
from workbook.study.many_hashes import group_hashers, hash_by_each

NAMES = ["find", "whash256", "dhash64", "phash256", "ahash256", "whash64"]


def test_groups_are_small_and_keep_threads_apart_from_processes():
    groups = group_hashers(NAMES)
    assert groups == [["find", "dhash64", "phash256"], ["ahash256"], ["whash256", "whash64"]]


def test_tables_are_those_of_each_hasher_alone(tmp_path):
    rng = np.random.default_rng(5)
    paths = []
    for number in range(4):
        levels = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
        path = tmp_path / f"000{number}_1.jpg"
        Image.fromarray(levels).save(path)
        paths.append(str(path))
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    paths.append(str(tmp_path / "broken.jpg"))
    by_name = hash_by_each(paths, NAMES, workers=1)
    assert list(by_name) == NAMES
    for name, table in by_name.items():
        alone = hash_files(paths, name, workers=1)
        pd.testing.assert_frame_equal(table, alone)
