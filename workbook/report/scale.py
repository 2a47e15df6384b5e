"""Matching and clustering of millions, measured and recorded by `python -m workbook scale`.

Its tables, scale_*.csv, and scale.json with machine and date stay until it is run again; notebook 06 and the report
show them as what they are.
"""

from pathlib import Path

import pandas as pd

from workbook.report.record import Recorder
from workbook.study import clusterings, growth, scale, timing, web_like


def measure_scale(out: str | Path = "figures", largest: int | None = None) -> None:
    """Measure sets of up to `largest` hashes, and write each table to `out` as soon as it is there."""
    sizes = [n for n in scale.SIZES if largest is None or n <= largest]
    most = sizes[-1]
    recorder = Recorder("scale", out)

    def write(slug: str, frame: pd.DataFrame, key: str | list[str]) -> None:
        recorder.table(slug, frame, key)
        recorder.save()
        print(f"{slug}\n{frame.round(4).to_string(index=False)}", flush=True)

    sets = {
        "families of 54": web_like.draw(10_000, size=54),
        "web-like": web_like.draw(10_000),
        "web-like, skewed bits": web_like.draw(10_000, skewed=True),
        "web-like, 512 bits": web_like.draw(10_000, bits=512),
    }
    write("rivals", clusterings.compare(sets), ["set", "method"])
    recalls = [scale.recall(n) for n in (100_000, 1_000_000) if n <= most]
    write("recall", pd.concat(recalls, ignore_index=True), ["n", "distance"])
    write("daily", scale.daily(min(most, 1_000_000)), ["way", "images"])
    grown: list[dict[str, float]] = []
    for n in sizes:
        grown.append(timing.in_fresh_process(scale.measured, n))
        write("growth", pd.DataFrame(grown), "n")
    if len(grown) > 3:
        table = pd.DataFrame(grown)
        law = growth.power_law(table["n"][:-1], table["seconds"][:-1])
        last = {"clustering": (float(most), float(table["seconds"].iloc[-1]))}
        write("law", growth.predicted({"clustering": law}, last), "work")
    write("joins", scale.joins(min(most, 1_000_000), 70), "way")
