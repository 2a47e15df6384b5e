"""The `finlib` command: hash, match, cluster, show, duplicates and evaluate.

Exit status 0: done; 1: the run failed or was interrupted; 2: wrong use. An error is one line on standard error.
"""

import json
import logging
import os
import resource
import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer

from finlib import __version__
from finlib.command import interruption

ROOM, ROOM_A_PROCESSOR = (
    1200 << 20,
    100 << 20,
)  # bytes of address space: libraries; a thread's stack and heap

app = typer.Typer(
    help="Perceptual image hashes: hash files, match and cluster the hashes, look at what was found, score hashers.",
    add_completion=False,
    rich_markup_mode=None,
)

HasherName = Annotated[
    str | None,
    typer.Option(
        "--hasher",
        help="find, pdq, phash256 …; sums: find+dhash256.",
        show_default="the table's, or find",
    ),
]
Part = Annotated[
    str | None, typer.Option("--hasher", help="As for `hash`, or a part of a table's sum.")
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Processors to use.", show_default="all at hand")
]
Scheduler = Annotated[
    str, typer.Option(metavar="ADDRESS", help="A Dask scheduler to use: tcp://10.0.0.1:8786.")
]
Output = Annotated[
    Path, typer.Option("--output", "-o", help="The table to write, .parquet or .csv.")
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace an older table of the same kind.")
]
Source = Annotated[
    Path, typer.Argument(metavar="HASHES", help="A table of `finlib hash`, a folder, or one image.")
]
MinQuality = Annotated[
    float, typer.Option(min=0, max=100, help="Leave out images of less detail (FINd, PDQ).")
]
Radius = Annotated[
    int | None, typer.Option(min=0, help="The largest distance of a match, in bits.")
]
FalsePairs = Annotated[
    float | None, typer.Option(min=0, help="The radius that lets in so many false pairs.")
]
Precision = Annotated[
    float | None, typer.Option(help="The radius at which this share of pairs is right.")
]
Corrections = Annotated[
    Path | None, typer.Option(help="Pairs of files, as `finlib show`'s page saves them.")
]


@app.callback(invoke_without_command=True)
def finlib(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(__version__)
    elif context.invoked_subcommand is None:
        print(context.get_help())


@app.command(
    "hash",
    epilog="Examples: finlib hash photos -o hashes.parquet;  find . -name '*.jpg' | finlib hash - -o hashes.csv",
)
def hash_command(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE...", help="Folders, files, - for a list on stdin."),
    ],
    output: Output,
    hasher: HasherName = None,
    workers: Workers = None,
    scheduler: Scheduler = "",
    prune: Annotated[
        bool, typer.Option("--prune", help="Drop rows of files not named now.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Start the table anew: drop all its rows.")
    ] = False,
) -> None:
    """Hash images to a table with a row per file; errors are rows. Run again, it hashes only what is new or changed.

    The table only grows: rows of other files stay, and so does a hash whose file cannot be read now. A table of find
    becomes one of find+dhash256 by hashing the second part alone.
    """
    from finlib.command.hashing import hash_into

    hash_into(output, sources, hasher, workers, scheduler, prune, replace)


@app.command(
    epilog="Examples: finlib match hashes.parquet --false-pairs 1 -o pairs.parquet;  "
    "finlib match new.parquet --against hashes.parquet --radius 70 -o pairs.csv"
)
def match(
    hashes: Source,
    output: Output,
    against: Annotated[
        Path | None, typer.Option(help="Stored hashes to compare with.", show_default="itself")
    ] = None,
    radius: Radius = None,
    false_pairs: FalsePairs = None,
    precision: Precision = None,
    nearest: Annotated[
        int | None, typer.Option(min=1, help="The K nearest of each, within a radius if given.")
    ] = None,
    mirrored: Annotated[
        bool, typer.Option("--mirrored", help="Compare HASHES' mirror images too.")
    ] = False,
    turned: Annotated[
        bool, typer.Option("--turned", help="Compare HASHES' quarter turns too.")
    ] = False,
    min_quality: MinQuality = 0,
    hasher: Part = None,
    fold: Annotated[
        bool, typer.Option("--fold", help="Of HASHES that are equal compare the first alone.")
    ] = False,
    max_pairs: Annotated[int, typer.Option(min=1, help="Refuse to write more.")] = 100_000_000,
    workers: Workers = None,
    scheduler: Scheduler = "",
    overwrite: Overwrite = False,
) -> None:
    """Find pairs of files whose hashes differ in few bits, among HASHES or others, in steps that outlive a kill.

    Give --radius, or --false-pairs or --precision for one from the evidence, or --nearest. Folders and images take the
    hasher of the table that they are compared with.
    """
    from finlib.command import daily, search
    from finlib.hashing import tables

    daily.claim(output, tables.PAIRS, overwrite, hashes, against)
    if (radius, false_pairs, precision, nearest) == (None,) * 4:
        raise ValueError(
            "Missing option '--radius' (or --false-pairs, --precision, --nearest): what is a match?"
        )
    if scheduler and (against or nearest or workers or mirrored or turned):
        raise ValueError(
            "--scheduler has its own workers and compares one table with itself: leave out the rest"
        )
    new, old = daily.load_both(hashes, against, hasher, min_quality, workers)
    new = new.folded() if fold else new
    found = search.PairSearch(
        new, old, max_pairs, workers, scheduler, search.variants(mirrored, turned)
    )
    found.write(output, found.radius(radius, false_pairs, precision), nearest)


@app.command(
    epilog="Examples: finlib cluster hashes.parquet -o clusters.csv;  "
    "finlib cluster new.parquet --onto clusters.csv --apart corrections.csv -o later.csv"
)
def cluster(
    hashes: Source,
    output: Output,
    onto: Annotated[
        Path | None, typer.Option(help="Clusters to go on with.", show_default="none")
    ] = None,
    together: Corrections = None,
    apart: Corrections = None,
    min_quality: MinQuality = 0,
    hasher: Part = None,
    workers: Workers = None,
    scheduler: Scheduler = "",
    overwrite: Overwrite = False,
) -> None:
    """Group files whose hashes are alike: a row per file that has a hash, with its cluster's number and size.

    With --onto, files of an earlier run keep their clusters and new ones join them. Of a CSV that `finlib show` saved,
    --together takes the pairs marked right and --apart those marked wrong.
    """
    from finlib.command import daily
    from finlib.hashing import tables

    if scheduler and workers:
        raise ValueError("--scheduler has its own workers: leave out --workers")
    daily.claim(output, tables.CLUSTERS, overwrite, hashes, onto, together, apart)
    new = daily.load(hashes, hasher, min_quality, workers)
    with daily.parts_of(output, "*.npz") as parts:
        rows = daily.cluster_files(new, output, onto, together, apart, workers, scheduler, parts)
        tables.write_table(rows, output)
    alone = int((rows["size"] == 1).sum())
    several = len(rows) - alone
    daily.say(
        f"{rows['cluster'].nunique() - alone} clusters of {several} files, and {alone} files alone: {output}"
    )


@app.command(
    epilog="Examples: finlib show pairs.parquet -o page.html;  finlib show clusters.csv --by doubt -o page.html"
)
def show(
    table: Annotated[
        Path, typer.Argument(metavar="PAIRS|CLUSTERS", help="What `match` or `cluster` wrote.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The page to write, .html.")],
    by: Annotated[
        str, typer.Option(help="Clusters by size or doubt; pairs come farthest first.")
    ] = "size",
    most: Annotated[
        int, typer.Option(min=2, help="Images to embed at most, about 5 KB each.")
    ] = 4000,
    workers: Workers = None,
    overwrite: Overwrite = False,
) -> None:
    """Make a page of pairs or clusters to look at: one file, opens offline, saves a CSV of what is right and wrong."""
    from finlib.command import daily, page

    if by not in ("size", "doubt"):
        raise ValueError(f"--by is size or doubt, not {by}")
    daily.claim(output, None, overwrite, table)
    groups, total = page.groups_of(table, by, max(1, most // 2))
    count, unread = page.write_page(groups, output, table.name, most, workers)
    by_name = f"; shown by name, since they cannot be read: {unread}" if unread else ""
    daily.say(f"{count} of {total} pairs or clusters: {output}{by_name}")


@app.command(epilog="Example: finlib duplicates photos -o groups.csv")
def duplicates(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder of images.")],
    output: Output,
    hasher: HasherName = None,
    min_quality: MinQuality = 0,
    workers: Workers = None,
    overwrite: Overwrite = False,
) -> None:
    """Find groups of alike images in a folder: a line each, the file to keep first, and a page; deletes nothing.

    Kept is the largest in pixels, then in bytes, then the oldest. The hashes stay beside the output, so that the next
    run hashes what is new alone.
    """
    from finlib.command import daily, hashing, page
    from finlib.hashing import tables

    kept, looked_at = output.with_suffix(".hashes.parquet"), output.with_suffix(".html")
    daily.claim(output, daily.DUPLICATES, overwrite)
    daily.claim(looked_at, None, overwrite)
    hashing.hash_into(kept, [str(folder)], hasher, workers, prune=True)
    groups = daily.find_duplicates(daily.load(kept, hasher, min_quality, workers), workers)
    shown = [
        (f"keep the first of {row.size}", [row.keep, *json.loads(row.others)])
        for row in groups.itertuples()
    ]
    count, _ = page.write_page(shown, looked_at, f"{folder}: duplicates", 4000, workers)
    tables.write_table(groups, output)
    more = f" (the first {count} groups)" if count < len(groups) else ""
    beside = (groups["size"] - 1).sum()
    daily.say(
        f"{len(groups)} groups, {beside} files beside the ones to keep: {output}, {looked_at}{more}"
    )


@app.command(epilog="Example: finlib evaluate my_families -o scores.csv")
def evaluate(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder of images named FFFF_ID.ext.")
    ],
    output: Output,
    hasher: Annotated[
        list[str] | None, typer.Option(help="May be repeated.", show_default="all")
    ] = None,
    workers: Workers = None,
    overwrite: Overwrite = False,
) -> None:
    """Score hashers on labelled families, FFFF being the family: a row per hasher."""
    import pandas as pd

    from finlib.command import daily
    from finlib.hashing import execution, images, tables
    from finlib.hashing.hashers import HASHERS, get_hasher
    from finlib.scoring import metrics

    daily.claim(output, ("hasher", "auc"), overwrite)
    chosen = [get_hasher(name) for name in hasher or HASHERS]
    found = images.list_images(folder)
    files = [file for file in found if images.family_of(file)]
    if len({images.family_of(file) for file in files}) < 2:
        raise ValueError(
            f"{folder} holds no two families of images named FFFF_ID.ext, FFFF naming the family"
        )
    if len(files) < len(found):
        daily.say(f"{len(found) - len(files)} images are not named FFFF_ID.ext and are left out")
    scores = []
    for each in chosen:
        daily.say(f"{each.label}: hashing {len(files)} files")
        table = execution.hash_files(files, each.name, workers=workers, progress=True)
        good = tables.hashed_rows(table)
        daily.say_errors(table)
        scores.append(
            metrics.evaluate(
                tables.packed_hashes(good), good["family"].to_numpy(), each.name, each.bits
            )
        )
    tables.write_table(pd.DataFrame(scores), output)
    daily.say(f"scores of {len(scores)} hashers: {output}")


def main() -> None:
    """Run the command line; exits with the status that the module's docstring gives."""
    room, needed = (
        resource.getrlimit(resource.RLIMIT_AS)[0],
        ROOM + ROOM_A_PROCESSOR * (os.cpu_count() or 1),
    )
    if 0 <= room < needed:
        sys.exit(
            f"finlib: {room >> 20:,} MB of address space are too few: raise it (ulimit -v) to {needed >> 20:,} MB"
        )
    os.environ.setdefault(
        "ARROW_DEFAULT_MEMORY_POOL", "system"
    )  # others take a GiB of it before they are used
    warnings.showwarning = lambda message, *_: print(f"finlib: {message}", file=sys.stderr)
    sys.warnoptions.append(
        "ignore:resource_tracker"
    )  # what a run that was ended left to clean up is cleaned up
    logging.getLogger("distributed.client").disabled = True  # what it logs is raised too
    ended = interruption.watched(_interrupted)
    status = run()
    ended.set()
    if interruption.heard.is_set():
        os._exit(status)  # at exit Python waits for threads, and may end by a signal of its own
    sys.exit(status)


def run() -> int:
    """Run the command line in this process; returns the exit status."""
    try:
        if not (status := app(standalone_mode=False) or 0) or status == 2:
            return status
    except (KeyboardInterrupt, typer.Abort):
        pass
    except Exception as error:
        if interruption.heard.is_set():
            return _interrupted()
        if isinstance(error, typer.TyperException):
            return _fail(error.format_message() + " (--help shows the use)", 2)
        if isinstance(error, (ValueError, TypeError, FileNotFoundError, NotADirectoryError)):
            return _fail(error, 2)
        if isinstance(error, (OSError, RuntimeError, MemoryError)):
            return _fail(str(error) or "not enough memory")
        raise
    return _interrupted()  # Typer turns Ctrl-C into a status of its own, 130


def _interrupted() -> int:
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    goes_on = "the same command goes on from what is finished"
    said = dict.fromkeys(("hash", "match", "duplicates", "cluster"), goes_on)
    return _fail(f"interrupted; {said.get(command, 'nothing was written')}")


def _fail(error: object, status: int = 1) -> int:
    text = " ".join(f"finlib: {error}".split())  # without an import: Ctrl-C may have cut one short
    print(
        text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"), file=sys.stderr
    )
    return status


if __name__ == "__main__":
    main()
