"""Where methods fail: the closest strangers, images with too little in them, and signs of label noise."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from finlib.hashing.images import open_rgb
from finlib.matching.pairs import pairs_within
from workbook.study.transforms import draw_caption


def closest_strangers(
    packed: np.ndarray, labels: Any, radius: float, count: int = 0
) -> pd.DataFrame:
    """Pairs of different families at most `radius` apart, the closest of each pair of families, closest first.

    Columns i, j (rows of `packed`), distance, one, other (families); the first `count`, or all where 0.
    """
    labels = np.asarray(labels)
    i, j, distance = (
        pairs_within(packed, int(radius)) if radius >= 0 else (np.empty(0, np.int64),) * 3
    )
    strangers = labels[i] != labels[j]
    frame = pd.DataFrame({"i": i[strangers], "j": j[strangers], "distance": distance[strangers]})
    families = np.sort(np.stack([labels[frame["i"]], labels[frame["j"]]]), axis=0)
    frame["one"], frame["other"] = families
    frame = frame.sort_values(["distance", "i", "j"]).drop_duplicates(
        ["one", "other"], ignore_index=True
    )
    return frame.head(count) if count else frame


def low_detail_images(seed: int = 2026) -> dict[str, Image.Image]:
    """66 pictures with little in them, 250 x 250, no two the same: six of each kind, named "kind number".

    Made: flat colours, gradients, faint noise, a thin line, a small dot, a few words on a flat page. Like natural ones:
    skies, walls, text on white, scans of a page that is nearly empty, screenshots of a dialog.
    """
    rng = np.random.default_rng(seed)
    images: dict[str, Image.Image] = {}
    ramp = np.linspace(0, 1, 250)[None, :, None] * np.ones((250, 1, 1))
    for turn in range(6):
        one, other = rng.integers(30, 226, (2, 3))
        flat = np.broadcast_to(one, (250, 250, 3)).astype(np.uint8)
        sloped = one + (other - one) * np.rot90(ramp, turn)
        lined, dotted = flat.copy(), flat.copy()
        at, across = rng.integers(30, 220, 2)
        lined[at : at + 2] = other
        dotted[at : at + 6, across : across + 6] = other
        words = " ".join(rng.choice(_PLAIN_WORDS, 4))
        images[f"flat {turn}"] = Image.fromarray(flat)
        images[f"gradient {turn}"] = _picture(sloped)
        images[f"faint noise {turn}"] = _picture(flat + rng.integers(-2, 3, flat.shape))
        images[f"line {turn}"] = Image.fromarray(lined)
        images[f"dot {turn}"] = Image.fromarray(dotted)
        images[f"words {turn}"] = draw_caption(
            Image.fromarray(flat), words if turn % 2 else "", "" if turn % 2 else words
        )
        images |= {f"{kind} {turn}": picture for kind, picture in _natural(rng, ramp).items()}
    return images


_PLAIN_WORDS = [
    "not",
    "now",
    "when",
    "you",
    "see",
    "it",
    "again",
    "monday",
    "coffee",
    "save",
    "changes",
    "file",
]


def _picture(values: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def _lines(
    image: Image.Image, rng: np.random.Generator, rows: Sequence[int], left: int, right: int
) -> None:
    """Dark type in `rows`, of random words."""
    draw = ImageDraw.Draw(image)
    for row in rows:
        text = " ".join(rng.choice(_PLAIN_WORDS, max(1, (right - left) // 36)))
        draw.text((left, row), text, fill=(40, 40, 40))


def _natural(rng: np.random.Generator, ramp: np.ndarray) -> dict[str, Image.Image]:
    """One sky, wall, page of text, scan and dialog."""
    down = np.rot90(ramp)
    cloud = gaussian_filter(rng.standard_normal((250, 250)), 40)[..., None]
    sky = (
        (120, 165, 215)
        + (1 - down) * rng.integers(20, 60)
        + cloud / cloud.std() * rng.integers(2, 10)
    )
    grain = gaussian_filter(rng.standard_normal((250, 250)), 1)[..., None]
    wall = rng.integers(120, 220, 3) * (1 - rng.uniform(0, 0.3) * ramp) + 6 * grain / grain.std()
    page, scan = (
        Image.new("RGB", (250, 250), "white"),
        _picture(242 + rng.normal(0, 2, (250, 250, 1)) + 0 * ramp[..., [0] * 3]),
    )
    top = int(rng.integers(10, 60))
    _lines(page, rng, range(top, top + 14 * int(rng.integers(4, 12)), 14), 20, 230)
    _lines(scan, rng, [top, top + 14], int(rng.integers(20, 120)), 230)
    dialog = Image.new("RGB", (250, 250), tuple(int(part) for part in rng.integers(180, 240, 3)))
    left, above = (int(part) for part in rng.integers(15, 60, 2))
    draw = ImageDraw.Draw(dialog)
    draw.rectangle(
        (left, above, left + 170, above + 110), fill=(250, 250, 250), outline=(120, 120, 120)
    )
    draw.rectangle((left, above, left + 170, above + 16), fill=(60, 90, 150))
    for place in (60, 115):
        draw.rectangle(
            (left + place, above + 84, left + place + 45, above + 102),
            fill=(225, 225, 225),
            outline=(150,) * 3,
        )
    _lines(dialog, rng, [above + 30, above + 46], left + 12, left + 150)
    return {
        "sky": _picture(sky),
        "wall": _picture(wall),
        "text": page,
        "scan": scan,
        "dialog": dialog,
    }


def gate_value(quality: np.ndarray, refused: float = 0.002) -> float:
    """The greatest gate (least quality matched, a whole number) that refuses at most this share of these images."""
    gates = np.arange(101)
    return float(gates[[float((quality < gate).mean()) <= refused for gate in gates]].max())


def flat_share(path: str | Path) -> float:
    """How much of an image is flat: the share of neighbours that differ by under 1.5 of 255, along the rows.

    The image is shrunk to 17 x 16 grey pixels, as for a dHash of 256 bits; only its middle half of rows is looked at,
    where captions seldom are.
    """
    grey = np.asarray(
        open_rgb(path).convert("L").resize((17, 16), Image.Resampling.LANCZOS), dtype=np.float64
    )
    return float(np.mean(np.abs(np.diff(grey[4:12], axis=1)) < 1.5))


def pixel_correlation(pairs: pd.DataFrame, paths: Sequence[str | Path]) -> np.ndarray:
    """How alike the two images of each row (i, j) look to no hash at all: correlation of their grey middles, -1 to 1.

    Images are shrunk to 64 x 64 and only the middle half of the rows is compared, where captions seldom are. NaN
    where one of the two is flat there.
    """

    def middle(path: str | Path) -> np.ndarray:
        grey = np.asarray(
            open_rgb(path).convert("L").resize((64, 64), Image.Resampling.BOX), dtype=np.float64
        )
        rows = grey[16:48].ravel() - grey[16:48].mean()
        norm = np.linalg.norm(rows)
        return rows / norm if norm > 1e-9 else np.full_like(rows, np.nan)

    used = np.unique(pairs[["i", "j"]].to_numpy())
    middles = {row: middle(paths[row]) for row in used}
    return np.array([middles[i] @ middles[j] for i, j in zip(pairs["i"], pairs["j"], strict=True)])


def merge_families(labels: Any, one: Any, other: Any) -> np.ndarray:
    """int64[n] labels in which families `one[k]` and `other[k]` are the same, and whatever follows from that."""
    names, codes = np.unique(np.asarray(labels), return_inverse=True)
    ends = (
        np.searchsorted(names, np.asarray(one, names.dtype)),
        np.searchsorted(names, np.asarray(other, names.dtype)),
    )
    joined = coo_array((np.ones(len(ends[0])), ends), shape=(len(names), len(names)))
    return connected_components(joined, directed=False)[1][codes].astype(np.int64)


def mislabelled(labels: Any, share: float, seed: int = 2026) -> np.ndarray:
    """The labels with a share of the images put into another family at random."""
    names, codes = np.unique(np.asarray(labels), return_inverse=True)
    rng = np.random.default_rng(seed)
    moved = rng.choice(len(codes), round(share * len(codes)), replace=False)
    codes = codes.copy()
    codes[moved] = (codes[moved] + rng.integers(1, max(2, len(names)), len(moved))) % len(names)
    return names[codes]
