"""The detail of pictures, kept in a file from one run to the next.

To measure it a picture has to be read again. The file keeps the results by the digest of the
pictures' content, so that only new and changed pictures are read.
"""

import math
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from finlib.command.detail import NO_DETAIL, Colours, Detail, measure_detail
from finlib.command.recompression import BlockSample
from finlib.files import text_to_path
from finlib.hashing import tables
from finlib.pools import in_threads

KIND = "detail of pictures"
COLUMNS = (
    "digest",
    "colours",
    "pixels",
    "is_enlarged",
    "quality",
    *BlockSample._fields,
)


def measure_details(files: pd.DataFrame, file: Path | None, workers: int | None) -> list[Detail]:
    """Measure the detail of the files' pictures, or take it from `file`; None keeps nothing.

    files: a row for each file with its path and digest. The file is written again where a picture
    is new. It keeps the detail of these files alone.
    """
    known = _read_known(file)
    is_new = ~files["digest"].isin(list(known)).to_numpy()
    paths = files["path"][is_new]
    measured = in_threads(measure_detail, ((text_to_path(path),) for path in paths), workers)
    new = iter(list(tqdm(measured, total=len(paths), unit="file", disable=None)))
    details = []
    for digest, measures in zip(files["digest"], is_new, strict=True):
        details.append(next(new) if measures else known[digest])
    if file is not None and len(paths):
        _write(file, files["digest"].to_list(), details)
    return details


def _read_known(file: Path | None) -> dict[str, Detail]:
    """The detail that the file has, by the digest of the picture's content.

    A file of an earlier version, which has no samples, has nothing that can be used.
    """
    if file is None or not file.exists():
        return {}
    try:
        table = tables.read_columns(file, COLUMNS)
    except ValueError:
        return {}
    known = {}
    for row in table.itertuples():
        quality = None if math.isnan(row.quality) else int(row.quality)
        known[row.digest] = Detail(
            Colours(row.colours),
            float(row.pixels),
            bool(row.is_enlarged),
            quality,
            BlockSample(row.coefficients, row.steps),
        )
    return known


def _write(file: Path, digests: list[str], details: list[Detail]) -> None:
    """Write what was measured of files whose content is known."""
    rows = []
    for digest, detail in zip(digests, details, strict=True):
        if digest and detail != NO_DETAIL:
            quality = np.nan if detail.quality is None else float(detail.quality)
            colours, pixels, is_enlarged, _, sample = detail
            rows.append((digest, int(colours), pixels, is_enlarged, quality, *sample))
    table = pd.DataFrame(rows, columns=list(COLUMNS)).drop_duplicates("digest")
    tables.write_table(table, file, KIND)
