"""Matching and clustering of millions, measured and recorded: python -m finlib.report.scale [--out DIR] [--largest N].

Its tables, scale_*.csv, and scale.json with machine and date stay until it is run again; notebook 06 and the report
show them as what they are.
"""

from argparse import ArgumentParser
from collections.abc import Sequence

import pandas as pd

from finlib.report.record import Recorder
from finlib.study import clusterings, growth, scale, timing, web_like


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write each table as soon as it is there."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="figures")
    parser.add_argument("--largest", default=scale.SIZES[-1], type=int, help="the largest set to cluster")
    given = parser.parse_args(arguments)
    sizes = [n for n in scale.SIZES if n <= given.largest]
    most, recorder = sizes[-1], Recorder("scale", given.out)

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
        write("law", growth.foretold({"clustering": law}, last), "work")
    write("joins", scale.joins(min(most, 1_000_000), 70), "way")


if __name__ == "__main__":
    main()
