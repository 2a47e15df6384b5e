"""False pairs at the advised radii on pictures of many kinds: what `python -m workbook kinds`
records.

The folder of kinds has a folder of unrelated pictures for each kind. A file `sources.csv` in it
(columns kind, source, licence) says where the pictures come from, or else `kinds_sources.csv`
beside this module, which describes the kinds of the published run. Numbers are published, pictures
are not, because the licences of many are not stated.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd

from finlib.hashing.execution import hash_files
from finlib.hashing.images import list_images
from finlib.hashing.tables import hashed_rows, packed_hashes
from workbook.report.record import HOME, Recorder
from workbook.report.results import read_folder
from workbook.study import families, kinds
from workbook.study.evidence import hasher_of
from workbook.study.kinds import Body
from workbook.study.site import find_near_kin

SINGLE = ("find", "phash256", "dhash256")
SOURCES = "sources.csv"
PUBLISHED_SOURCES = Path(__file__).with_name("kinds_sources.csv")
NOT_STATED = "not stated"
RESAMPLES = 1000
SEED = 2026


def record_kinds(
    folder: str | Path,
    sets: Mapping[str, str | Path],
    templates: Mapping[str, str | Path] = MappingProxyType({}),
    out: str | Path = "figures",
) -> None:
    """Count false pairs on every kind and set, and write kinds_*.csv and kinds.json to `out`.

    folder: has a folder of pictures for each kind. sets: folders of families (images named
    FFFF_ID.ext, or templates to put captions on) by the name that the set has in the tables; the
    built-in families and the class pairs are always there. templates: for some of these sets the
    folder of pictures without captions, of which family FFFF shows number FFFF; near kin are looked
    for among these. ValueError where there is no kind, or templates are given for an unknown set.
    """
    unknown = sorted(set(templates) - set(sets))
    if unknown:
        raise ValueError(
            f"templates are given for {unknown[0]!r}, which is no set of families: give its images "
            "with --families under the same name"
        )
    places = sorted(path for path in Path(folder).iterdir() if path.is_dir())
    if not places:
        raise ValueError(f"{folder} has no folders: give a folder with one folder for each kind")
    least_quality = published_filter()
    bodies = [hash_kind(place) for place in places]
    every_kind = kinds.pooled("all kinds", bodies)
    with_families = [hash_families("built-in", "")]
    for name, images in sets.items():
        with_families.append(hash_families(name, images, templates.get(name)))

    recorder = Recorder("kinds", out)
    options = {"resamples": RESAMPLES, "seed": SEED}
    records = []
    for body in [*with_families, every_kind, *bodies]:
        records += kinds.count_false_pairs(body, least_quality, **options)
    records += kinds.count_class_pairs()
    key = ["body", "kin", "filter", "method", "rate"]
    recorder.table("false_pairs", kinds.table_of(records), key=key)
    plain = kinds.refused(every_kind.part(~every_kind.is_kin), least_quality)
    if len(plain.quality) > 1:
        recorder.table("plain", plain_pairs(plain), key=["method", "rate"])
    recorder.table("sources", describe(bodies, Path(folder, SOURCES), least_quality), key="kind")
    recorder.number("filter", least_quality)
    recorder.save()


def published_filter() -> float:
    """The least quality that the detail filter keeps, as notebook 05 chose it."""
    numbers = read_folder(HOME / "figures", "05.json").numbers
    return float(numbers["05.gate.value"])


def hash_kind(folder: Path) -> Body:
    """A body of unrelated pictures, which is named for its folder."""
    paths = list_images(folder)
    kin = find_near_kin(paths)
    is_kin = np.isin(np.arange(len(paths)), list(kin))
    names = [str(number) for number in range(len(paths))]
    return hash_body(folder.name, [str(path) for path in paths], names, is_kin)


def hash_families(name: str, folder: str | Path, templates: str | Path | None = None) -> Body:
    """The images of a folder of families, or the built-in families where it is "".

    templates: the pictures without captions; near kin are the families of those that are near kin
    of an earlier one. No family is near kin where there are none.
    """
    images = families.dataset(folder, seed=SEED)
    kin = set() if templates is None else find_near_kin(list_images(templates))
    kin_families = [f"{place:04d}" for place in kin]
    is_kin = images["family"].isin(kin_families).to_numpy()
    return hash_body(name, images["path"].tolist(), images["family"].tolist(), is_kin)


def hash_body(name: str, paths: list[str], labels: list[str], is_kin: np.ndarray) -> Body:
    """Hash pictures for every method; those that one hasher cannot read are left out."""
    tables = {single: hash_files(paths, single) for single in SINGLE}
    readable = np.logical_and.reduce([table["error"] == "" for table in tables.values()])
    single = {key: packed_hashes(table[readable]) for key, table in tables.items()}
    packed = {}
    for method in kinds.METHODS:
        parts = [single[part] for part in hasher_of(method).split("+")]
        packed[method] = np.hstack(parts)
    quality = hashed_rows(tables["find"][readable])["quality"].to_numpy(dtype=float)
    return Body(name, packed, np.array(labels)[readable], quality, is_kin[readable])


def plain_pairs(plain: Body) -> pd.DataFrame:
    """The pairs of plain pictures that each method matches at the advised radii, and their share.

    Columns: method, rate, images, pairs, matched, share, low and high (95% over pictures).
    """
    columns = ["method", "rate", "images", "pairs", "matched", "share", "low", "high"]
    records = []
    for method in kinds.METHODS:
        counts = kinds.count_method(plain, method, matching=0, resamples=RESAMPLES, seed=SEED)
        for counted in counts:
            pairs = counted["pairs"]
            shares = [counted[column] / pairs for column in ("found", "low", "high")]
            matched = (counted["found"], *shares)
            records.append((method, counted["rate"], counted["images"], pairs, *matched))
    return pd.DataFrame(records, columns=columns)


def describe(bodies: list[Body], sources: Path, least_quality: float) -> pd.DataFrame:
    """What each kind consists of: kind, images, near_kin, refused (by the filter), source, licence.

    sources: a CSV file with the last two, by kind, instead of PUBLISHED_SOURCES. Where it says
    nothing, they are "not stated".
    """
    records = []
    for body in bodies:
        is_refused = body.quality < least_quality
        counts = (len(body.quality), int(body.is_kin.sum()), int(is_refused.sum()))
        records.append((body.name, *counts))
    table = pd.DataFrame(records, columns=["kind", "images", "near_kin", "refused"])
    stated = pd.read_csv(sources if sources.is_file() else PUBLISHED_SOURCES)
    return table.merge(stated, on="kind", how="left").fillna(NOT_STATED)
