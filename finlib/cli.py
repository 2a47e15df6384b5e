"""The `finlib` command: hash, match, cluster, evaluate and report.

Exit status 0: done; 1: the run failed or was interrupted; 2: wrong use. An error is one line on standard error.
"""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Perceptual image hashes: hash files, match and cluster the hashes, score them on your own families.",
    add_completion=False,
    rich_markup_mode=None,
)

PROCESSORS = os.cpu_count() or 1
HasherName = Annotated[str, typer.Option("--hasher", help="find, pdq, or a, p, d, whash with 64 or 256: phash256.")]
Workers = Annotated[int, typer.Option(min=1, help="Processors to use.", show_default="all of them")]
Scheduler = Annotated[
    str, typer.Option(metavar="ADDRESS", help="A Dask scheduler to use, such as tcp://10.0.0.1:8786.")
]
Output = Annotated[Path, typer.Option("--output", "-o", help="The table to write, .parquet or .csv.")]
Hashes = Annotated[Path, typer.Argument(metavar="HASHES", help="A table that `finlib hash` wrote.")]


@app.command(
    "hash",
    epilog="Examples: finlib hash photos -o hashes.parquet;  find . -name '*.jpg' | finlib hash - -o hashes.csv",
)
def hash_command(
    sources: Annotated[list[str], typer.Argument(metavar="SOURCE...", help="Folders, files, - for a list on stdin.")],
    output: Output,
    hasher: HasherName = "find",
    workers: Workers = PROCESSORS,
    scheduler: Scheduler = "",
) -> None:
    """Hash images to a table with a row per file; errors are rows. Run again, it hashes only what is new or changed."""
    from finlib import execution, tables

    tables.is_csv(output)
    known = tables.read_hashes(output) if output.exists() else None
    if known is not None and set(known["hasher"]) - {hasher}:
        held = ", ".join(sorted(set(known["hasher"])))
        raise ValueError(f"{output} holds hashes by {held}, not {hasher}: give another name, or move it away")
    files = [file for source in sources for file in _files_of(source)]
    parts = output.with_name(output.name + ".parts")
    table = execution.hash_files(
        files,
        hasher,
        execution.suited(hasher, workers, scheduler),
        workers,
        scheduler=scheduler or None,
        checkpoint=parts,
        known=known,
        progress=True,
    )
    tables.write_table(table, output)
    shutil.rmtree(parts, ignore_errors=True)
    failed = table[table["error"] != ""]
    for error in failed["error"].head(5):
        _say(f"not hashed: {error}")
    _say(f"{len(table) - len(failed)} hashed, {len(failed)} not (column 'error' says why): {output}")
    if len(failed) == len(table):
        raise RuntimeError("no file could be hashed")


def _files_of(source: str) -> Sequence[str | Path]:
    from finlib.images import find_images

    if source == "-":
        listed = os.fsdecode(sys.stdin.buffer.read())
        names = [name for name in listed.split("\0" if "\0" in listed else "\n") if name]
        if not names:
            raise ValueError("standard input lists no file: give one name a line, or separated by NUL bytes")
        return names
    if os.path.isfile(source):
        return [source]
    found = find_images(source)
    others = sum(len(names) for _, _, names in os.walk(source)) - len(found)
    if others > 0:
        _say(f"{source}: {others} files without an image's suffix are left out; name them to have them hashed")
    return found


@app.command(epilog="Example: finlib match hashes.parquet --radius 70 -o pairs.parquet")
def match(
    hashes: Hashes,
    radius: Annotated[int, typer.Option(min=0, help="The largest distance of a match, in bits.")],
    output: Output,
    workers: Workers = PROCESSORS,
) -> None:
    """Find all pairs of files whose hashes differ in at most RADIUS bits, written to disk as they are found."""
    import pandas as pd
    import pyarrow as pa

    from finlib import matching, tables

    table = tables.read_hashes(hashes)
    packed, paths = tables.packed_of(table), tables.good_rows(table)["path"].to_numpy()
    schema = pa.schema({"path_a": pa.string(), "path_b": pa.string(), "distance": pa.int32()})
    pairs = 0
    with tables.table_writer(output, schema) as write:
        for i, j, distance in matching.iter_pairs_within(packed, radius, workers=workers, progress=True):
            write(pd.DataFrame({"path_a": paths[i], "path_b": paths[j], "distance": distance}))
            pairs += len(i)
    _say(f"{pairs} pairs within {radius} bits among {len(paths)} hashes: {output}")


@app.command(epilog="Example: finlib cluster hashes.parquet -o clusters.parquet")
def cluster(
    hashes: Hashes,
    output: Output,
    workers: Workers = PROCESSORS,
) -> None:
    """Group files whose hashes are alike: a row per file with its cluster's number and size."""
    from finlib import clustering, near, tables

    tables.is_csv(output)
    table = tables.read_hashes(hashes)
    packed = tables.packed_of(table)
    rows = tables.good_rows(table)[["path", "family"]]
    rows["cluster"] = clustering.cluster(packed, means=near.Means(workers, progress=True)).labels
    rows["size"] = rows.groupby("cluster")["cluster"].transform("size")
    tables.write_table(rows, output)
    _say(f"{rows['cluster'].nunique()} clusters of {len(rows)} hashes: {output}")


@app.command(epilog="Example: finlib evaluate my_families -o scores.csv")
def evaluate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of images named FFFF_ID.ext.")],
    output: Output,
    hasher: Annotated[list[str] | None, typer.Option(help="May be repeated.", show_default="all")] = None,
    workers: Workers = PROCESSORS,
) -> None:
    """Score hashers on labelled families, FFFF being the family: a row per hasher."""
    import pandas as pd

    from finlib import execution, images, metrics, tables
    from finlib.hashers import HASHERS
    from finlib.hashers import hasher as hasher_named

    tables.is_csv(output)
    chosen = [hasher_named(name) for name in hasher or HASHERS]
    files = [file for file in images.find_images(folder) if images.family_of(file)]
    if not files:
        raise ValueError(f"{folder} holds no image named FFFF_ID.ext, FFFF being four digits that name its family")
    scores = []
    for each in chosen:
        _say(f"{each.label}: hashing {len(files)} files")
        suited = execution.suited(each.name, workers)
        table = execution.hash_files(files, each.name, suited, workers, progress=True)
        labels = tables.good_rows(table)["family"].to_numpy()
        scores.append(metrics.evaluate(tables.packed_of(table), labels, each.name, each.bits))
    tables.write_table(pd.DataFrame(scores), output)
    _say(f"scores of {len(scores)} hashers on {len(files)} images: {output}")


@app.command(epilog="Example: finlib report --data my_families")
def report(
    data: Annotated[str, typer.Option(metavar="DIR", help="Images named FFFF_ID.ext, or pictures to caption.")] = "",
    name: Annotated[str, typer.Option(help="Write under runs/NAME.", show_default="the folder's name")] = "",
    only: Annotated[str, typer.Option(metavar="NN,NN", help="Run these notebooks alone; none: refill alone.")] = "",
    publish: Annotated[bool, typer.Option(help="Copy tables and numbers of the run NAME to figures/NAME.")] = False,
) -> None:
    """Run all notebooks and fill the report, in a checkout of the workbook: the same as `make report`."""
    try:
        from finlib.report.run import run_report
    except ImportError as error:
        raise ValueError(
            f"the report needs {error.name}: install the extra with pip install 'finlib[workbook]'"
        ) from None
    chosen = None if not only else [] if only == "none" else only.split(",")
    run_report(data or None, name or None, only=chosen, publish=publish)


def _say(text: str) -> None:
    print(text.encode("utf-8", "backslashreplace").decode(), file=sys.stderr)


def main() -> None:
    """Run the command line; exits with the status that the module's docstring gives."""
    sys.exit(_status())


def _status() -> int:
    try:
        if not (status := app(standalone_mode=False) or 0) or status == 2:
            return status
    except typer.TyperException as error:
        return _fail(error.format_message() + " (--help shows the use)", 2)
    except (ValueError, TypeError, FileNotFoundError, NotADirectoryError) as error:
        return _fail(error, 2)
    except (OSError, RuntimeError, MemoryError) as error:
        return _fail(error, 1)
    except (KeyboardInterrupt, typer.Abort):
        pass
    # Typer turns Ctrl-C into a status of its own, 130.
    return _fail("interrupted; the same command goes on with what was finished", 1)


def _fail(error: object, status: int) -> int:
    _say("finlib: " + " ".join(str(error).split()))
    return status


if __name__ == "__main__":
    main()
