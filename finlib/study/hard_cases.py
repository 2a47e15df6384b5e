"""Where methods fail: the worst pairs, the hard families, images with too little in them, and signs of label noise."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from finlib.images import open_rgb
from finlib.matching import distance_histogram, pairs_within
from finlib.metrics import query_counts, tpr_at
from finlib.study.transforms import draw_caption


def closest_strangers(packed: np.ndarray, labels: Any, radius: float, count: int = 0) -> pd.DataFrame:
    """Pairs of different families at most `radius` apart, the closest of each pair of families, closest first.

    Columns i, j (rows of `packed`), distance, one, other (families); the first `count`, or all where 0.
    """
    labels = np.asarray(labels)
    i, j, distance = pairs_within(packed, int(radius)) if radius >= 0 else (np.empty(0, np.int64),) * 3
    strangers = labels[i] != labels[j]
    frame = pd.DataFrame({"i": i[strangers], "j": j[strangers], "distance": distance[strangers]})
    families = np.sort(np.stack([labels[frame["i"]], labels[frame["j"]]]), axis=0)
    frame["one"], frame["other"] = families
    frame = frame.sort_values(["distance", "i", "j"]).drop_duplicates(["one", "other"], ignore_index=True)
    return frame.head(count) if count else frame


def furthest_relatives(packed: np.ndarray, labels: Any, count: int = 0) -> pd.DataFrame:
    """The two images of each family that lie furthest apart, furthest first: columns i, j, distance, family."""
    labels, rows = np.asarray(labels), []
    for family in np.unique(labels):
        members = np.flatnonzero(labels == family)
        distance = np.bitwise_count(packed[members, None] ^ packed[None, members]).sum(axis=2, dtype=np.int64)
        a, b = np.unravel_index(np.argmax(distance), distance.shape)
        rows.append((*sorted((members[a], members[b])), distance[a, b], family))
    frame = pd.DataFrame(rows, columns=["i", "j", "distance", "family"])
    frame = frame.sort_values(["distance", "i"], ascending=[False, True], ignore_index=True)
    return frame.head(count) if count else frame


def hard_families(packed: np.ndarray, labels: Any, threshold: float) -> pd.DataFrame:
    """Each family at a threshold, the hardest first.

    Columns family, images, found (share of its pairs accepted), intruders (accepted pairs with other families).
    """
    labels = np.asarray(labels)
    everyone = np.arange(len(labels))
    counts = query_counts(packed, labels, packed, labels, itself=everyone)
    near = counts[:, :, : int(threshold) + 1].sum(axis=2)
    frame = pd.DataFrame({"family": labels, "images": 1, "own": near[:, 0], "intruders": near[:, 1]})
    frame = frame.groupby("family", as_index=False).sum()
    frame["found"] = frame["own"] / (frame["images"] * (frame["images"] - 1)).where(frame["images"] > 1)
    frame = frame.sort_values(["found", "family"], ignore_index=True)
    return frame[["family", "images", "found", "intruders"]]


def quality_gate(
    packed: np.ndarray, labels: Any, quality: np.ndarray, threshold: float, gates: Sequence[float]
) -> pd.DataFrame:
    """What is lost and what is saved where images under a quality are not matched at all.

    Columns gate, kept (share of the images), tpr (share of all same-family pairs still accepted) and false_pairs
    (accepted pairs of different families).
    """
    labels, rows = np.asarray(labels), []
    everything = distance_histogram(packed, labels).sum(axis=1)
    for gate in gates:
        passed = quality >= gate
        counts = distance_histogram(packed[passed], labels[passed])
        true, false = counts[:, : int(threshold) + 1].sum(axis=1)
        rows.append((gate, float(passed.mean()), true / max(everything[0], 1), int(false)))
    return pd.DataFrame(rows, columns=["gate", "kept", "tpr", "false_pairs"])


def low_detail_images(seed: int = 2026) -> dict[str, Image.Image]:
    """36 images with little or nothing in them, 250 x 250, no two of them the same picture.

    Flat colours, gradients, faint noise, a thin line, a small dot, and a few words on a flat page.
    """
    rng = np.random.default_rng(seed)
    images: dict[str, Image.Image] = {}
    ramp = np.linspace(0, 1, 250)[None, :, None] * np.ones((250, 1, 1))
    for turn in range(6):
        one, other = rng.integers(30, 226, (2, 3))
        flat = np.broadcast_to(one, (250, 250, 3)).astype(np.uint8)
        sloped = one + (other - one) * np.rot90(ramp, turn)
        noisy = flat + rng.integers(-2, 3, flat.shape)
        lined, dotted = flat.copy(), flat.copy()
        at, across = rng.integers(30, 220, 2)
        lined[at : at + 2] = other
        dotted[at : at + 6, across : across + 6] = other
        words = " ".join(rng.choice(["not", "now", "when", "you", "see", "it", "again", "monday", "coffee"], 4))
        images[f"flat {turn}"] = Image.fromarray(flat)
        images[f"gradient {turn}"] = Image.fromarray(sloped.astype(np.uint8))
        images[f"faint noise {turn}"] = Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
        images[f"line {turn}"] = Image.fromarray(lined)
        images[f"dot {turn}"] = Image.fromarray(dotted)
        images[f"words {turn}"] = draw_caption(
            Image.fromarray(flat), words if turn % 2 else "", "" if turn % 2 else words
        )
    return images


def flat_share(path: str | Path) -> float:
    """How much of an image is flat: the share of neighbours that differ by under 1.5 of 255, along the rows.

    The image is shrunk to 17 x 16 grey pixels, as for a dHash of 256 bits; only its middle half of rows is looked at,
    where captions seldom are.
    """
    grey = np.asarray(open_rgb(path).convert("L").resize((17, 16), Image.Resampling.LANCZOS), dtype=np.float64)
    return float(np.mean(np.abs(np.diff(grey[4:12], axis=1)) < 1.5))


def pixel_correlation(pairs: pd.DataFrame, paths: Sequence[str | Path]) -> np.ndarray:
    """How alike the two images of each row (i, j) look to no hash at all: correlation of their grey middles, -1 to 1.

    Images are shrunk to 64 x 64 and only the middle half of the rows is compared, where captions seldom are. NaN
    where one of the two is flat there.
    """

    def middle(path: str | Path) -> np.ndarray:
        grey = np.asarray(open_rgb(path).convert("L").resize((64, 64), Image.Resampling.BOX), dtype=np.float64)
        rows = grey[16:48].ravel() - grey[16:48].mean()
        norm = np.linalg.norm(rows)
        return rows / norm if norm > 1e-9 else np.full_like(rows, np.nan)

    used = np.unique(pairs[["i", "j"]].to_numpy())
    middles = {row: middle(paths[row]) for row in used}
    return np.array([middles[i] @ middles[j] for i, j in zip(pairs["i"], pairs["j"], strict=True)])


def agreement(pairs: pd.DataFrame, packed: dict[str, np.ndarray], thresholds: dict[str, float]) -> pd.DataFrame:
    """bool column a method: whether it accepts the pair (i, j) of each row at its own threshold."""
    i, j = pairs["i"].to_numpy(), pairs["j"].to_numpy()
    accepted = {
        name: np.bitwise_count(rows[i] ^ rows[j]).sum(axis=1, dtype=np.int64) <= thresholds[name]
        for name, rows in packed.items()
    }
    return pd.DataFrame(accepted, index=pairs.index)


def merge_families(labels: Any, one: Any, other: Any) -> np.ndarray:
    """int64[n] labels in which families `one[k]` and `other[k]` are the same, and whatever follows from that."""
    names, codes = np.unique(np.asarray(labels), return_inverse=True)
    ends = np.searchsorted(names, np.asarray(one, names.dtype)), np.searchsorted(names, np.asarray(other, names.dtype))
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


def noise_curve(
    packed: np.ndarray, labels: Any, rates: Sequence[float], shares: Sequence[float], seed: int = 2026
) -> pd.DataFrame:
    """True-positive rates when a share of the labels is spoilt on purpose: columns mislabelled, fpr, tpr."""
    spoilt = {share: distance_histogram(packed, mislabelled(labels, share, seed)) for share in shares}
    rows = [(share, rate, tpr_at(counts, rate)) for share, counts in spoilt.items() for rate in rates]
    return pd.DataFrame(rows, columns=["mislabelled", "fpr", "tpr"])


KINDS = ("found", "missed", "false match", "told apart")


def borderline_pairs(packed: np.ndarray, labels: Any, threshold: float, count: int = 3) -> pd.DataFrame:
    """The pairs nearest to a threshold on either side of it: columns kind, i, j, distance.

    Kinds: relatives found and missed, strangers falsely matched and told apart; at most `count` of each, each image
    in one pair of a kind. All pairs are compared, n squared bytes: for a sample of a thousand images or two.
    """
    labels, rows = np.asarray(labels), []
    i, j = np.triu_indices(len(labels), 1)
    distance = np.bitwise_count(packed[i] ^ packed[j]).sum(axis=1, dtype=np.int64)
    near = distance <= threshold
    related = labels[i] == labels[j]
    for kind, chosen in zip(KINDS, (related & near, related & ~near, ~related & near, ~related & ~near), strict=True):
        candidates = np.flatnonzero(chosen)
        used: set[int] = set()
        for place in candidates[np.argsort(np.abs(distance[candidates] - threshold), kind="stable")]:
            if len(used) == 2 * count:
                break
            if not used & {int(i[place]), int(j[place])}:
                used |= {int(i[place]), int(j[place])}
                rows.append((kind, i[place], j[place], distance[place]))
    return pd.DataFrame(rows, columns=["kind", "i", "j", "distance"])
