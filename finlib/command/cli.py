"""The `finlib` command: its words, arguments and help. What each command does is in the module of
its name.

Modules are imported when a command runs, so that help and errors in the arguments appear at once.
"""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from finlib import __version__
from finlib.command import process

app = typer.Typer(
    help="Perceptual image hashes: hash images, match and cluster the hashes, look at the results, "
    "score hashers.",
    rich_markup_mode=None,
)

HasherName = Annotated[
    str | None,
    typer.Option(
        "--hasher",
        help="find, pdq, phash256 and so on, or a combination such as find+dhash256.",
        show_default="that of the table, or find",
    ),
]
HasherOrPart = Annotated[
    str | None,
    typer.Option(
        "--hasher",
        help="As for `hash`. Of a table of a combined hash, one of its parts may be named.",
        show_default="that of the table, or find",
    ),
]
Distance = Annotated[
    str,
    typer.Option(
        metavar="hamming|rows",
        help="How two hashes are compared: by the bits that differ, or by rows, which a caption "
        "cannot outvote. Rows need a dHash of 256 bits, such as dhash256 or find+dhash256.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="The number of processors to use.", show_default="all available"),
]
Scheduler = Annotated[
    str,
    typer.Option(metavar="ADDRESS", help="The Dask scheduler to use, such as tcp://10.0.0.1:8786."),
]
Output = Annotated[
    Path,
    typer.Option(
        "--output", "-o", help="The table to write, .parquet or .csv; - prints it as CSV."
    ),
]
# `writes_table` does what it asks for.
AsJson = Annotated[
    bool, typer.Option("--json", help="Also print the table, as a JSON array of its rows.")
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace an existing file of the same kind.")
]
Hidden = Annotated[
    bool,
    typer.Option(
        "--hidden", help="Take hidden files and folders, too, and folders of trash and thumbnails."
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        metavar="GLOB",
        help="Leave out files and folders of this name or path below a folder, such as '*.tif' or "
        "'raw/*'; may be given several times.",
        show_default="none",
    ),
]
Prepare = Annotated[
    bool,
    typer.Option(
        "--prepare",
        help="Hash what a viewer shows: upright by EXIF, 16 bits scaled to 8, alpha on a ground, "
        "palettes and two-level pictures in full colour, uniform borders trimmed. The table "
        "records it and takes no other hashes.",
    ),
]
MaxPixels = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Read images of up to N pixels; larger ones are refused. Decoding one takes about 10 "
        "bytes of memory a pixel.",
        show_default="89478485",
    ),
]
Source = Annotated[
    Path,
    typer.Argument(
        metavar="HASHES", help="A table that `finlib hash` wrote, a folder of images, or one image."
    ),
]
MinQuality = Annotated[
    float,
    typer.Option(
        min=0, max=100, help="Leave out images with less detail, by the quality of FINd or PDQ."
    ),
]
Radius = Annotated[
    int | None,
    typer.Option(
        min=0, help="The largest distance of a match: in bits, unless --distance is rows."
    ),
]
FalsePairs = Annotated[
    float | None,
    typer.Option(min=0, help="Use the largest radius at which this many false pairs are expected."),
]
Precision = Annotated[
    float | None,
    typer.Option(help="Use the largest radius at which this share of the pairs should be right."),
]
PairsOfFiles = Annotated[
    Path | None,
    typer.Option(help="A table of pairs of files, such as the page of `finlib show` saves."),
]
Corrections = Annotated[
    Path | None,
    typer.Option(
        help="The verdicts that the page of `finlib show` or `duplicates` has saved. They are "
        "remembered beside the output, and the next run onto it applies them without being told.",
        show_default="those remembered",
    ),
]


def writes_table(command: Callable[..., None]) -> Callable[..., None]:
    """Give the command the table to write, and print that table if this is asked for.

    Other runs are kept from writing the table from before it is checked to the end. Without an
    output, which only `match` allows, the command gets None.
    """

    @wraps(command)
    def run(output: Path | None, as_json: bool = False, **arguments: Any) -> None:
        from finlib.command.output import STANDARD_OUTPUT, open_output

        if output is None and not as_json:
            command(output=None, as_json=False, **arguments)
            return
        with open_output(output or STANDARD_OUTPUT, as_json) as table:
            command(output=table, as_json=as_json, **arguments)

    return run


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
    epilog="Examples: finlib hash photos -o hashes.parquet;  "
    "find . -name '*.jpg' | finlib hash - -o hashes.csv",
)
@writes_table
def hash_command(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...", help="Folders and files; - reads a list of files from stdin."
        ),
    ],
    output: Output,
    hasher: HasherName = None,
    workers: Workers = None,
    scheduler: Scheduler = "",
    prune: Annotated[
        bool, typer.Option("--prune", help="Drop the rows of files that no SOURCE names.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Drop all rows that the table has.")
    ] = False,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Read all known files, and hash those of another content."),
    ] = False,
    hidden: Hidden = False,
    exclude: Exclude = None,
    prepare: Prepare = False,
    max_pixels: MaxPixels = None,
    as_json: AsJson = False,
) -> None:
    """Hash images into a table with a row per file. Run again, it hashes only what is new or
    changed.

    A file that cannot be hashed has a row with the error. Rows of other files stay in the table,
    and so does a hash whose file cannot be read any more. To turn a table of find into one of
    find+dhash256, give it that --hasher: only the second part is then computed. An interrupted run
    resumes when it is started again.
    """
    from finlib.command.hashing import hash_into
    from finlib.command.inputs import Selection
    from finlib.hashing.images import pixel_limit

    with pixel_limit(max_pixels):
        hash_into(
            output,
            sources,
            hasher,
            workers=workers,
            scheduler=scheduler,
            prune=prune,
            replace=replace,
            verify=verify,
            selection=Selection(hidden, tuple(exclude or ())),
            prepare=prepare,
        )


@app.command(
    epilog="Examples: finlib match hashes.parquet --false-pairs 1 -o pairs.parquet;  "
    "finlib match new.parquet --against hashes.parquet --radius 70 -o pairs.csv;  "
    "finlib match photo.jpg --against hashes.parquet --nearest 5"
)
@writes_table
def match(
    hashes: Source,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The table to write, .parquet or .csv; - prints it as CSV. Of a single image the "
            "matches are printed in words where this is left out.",
            show_default="none",
        ),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(
            help="The hashes to compare HASHES with: as HASHES, or a list of hexadecimal hashes, "
            "one a line (.txt, or .csv with a column 'hash').",
            show_default="HASHES itself",
        ),
    ] = None,
    radius: Radius = None,
    false_pairs: FalsePairs = None,
    precision: Precision = None,
    nearest: Annotated[
        int | None,
        typer.Option(
            min=1, help="Find the K nearest of each file, within a radius if one is given."
        ),
    ] = None,
    mirrored: Annotated[
        bool, typer.Option("--mirrored", help="Also compare the mirror images of HASHES.")
    ] = False,
    turned: Annotated[
        bool, typer.Option("--turned", help="Also compare HASHES turned by quarter turns.")
    ] = False,
    corrections: Corrections = None,
    min_quality: MinQuality = 0,
    hasher: HasherOrPart = None,
    distance: Distance = "hamming",
    fold: Annotated[
        bool,
        typer.Option("--fold", help="Of files in HASHES with equal hashes compare only the first."),
    ] = False,
    max_pairs: Annotated[
        int, typer.Option(min=1, help="Refuse to write more pairs than this.")
    ] = 100_000_000,
    workers: Workers = None,
    scheduler: Scheduler = "",
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Find pairs of files whose hashes are near each other, within HASHES or between HASHES and
    others.

    Say what a match is by --radius, or by --false-pairs or --precision, which choose a radius from
    measured evidence, or by --nearest. Folders and single images are hashed by the hasher of the
    table that they are compared with. Pairs that --corrections calls wrong are left out. An
    interrupted run resumes when it is started again.
    """
    from finlib.command import inputs, methods, output as outputs, search, verdicts
    from finlib.command.answer import print_matches
    from finlib.hashing import tables

    methods.check_distance(distance)
    if output is None:
        inputs.check_single_image(hashes)
    else:
        outputs.check_table_output(output, tables.PAIRS, overwrite, (hashes, against, corrections))
        verdicts.check_verdicts_file(output)
    judged = verdicts.gather(corrections, output)
    criterion = search.Criterion(radius, false_pairs, precision, nearest)
    variants = search.choose_variants(mirrored, turned)
    criterion.check()
    if scheduler and (against or nearest or workers or mirrored or turned):
        raise ValueError(
            "--scheduler has workers of its own, and they compare one table with itself: it "
            "cannot be used with "
            "--against, --nearest, --mirrored, --turned or --workers."
        )
    new, stored = inputs.load_both(hashes, against, hasher, min_quality, workers, distance)
    if fold:
        new = new.drop_repeated()
    comparison = search.Comparison(new, stored, variants, distance)
    pair_search = search.PairSearch(
        comparison,
        comparison.choose_radius(criterion),
        nearest,
        max_pairs,
        workers,
        scheduler,
        judged,
    )
    if output is not None:
        pair_search.write(output)
        return
    with outputs.temporary_output() as pairs:
        pair_search.write(pairs)
        folders = [Path(), *inputs.own_folders(against)]
        print_matches(pairs, comparison, pair_search.radius, folders)


@app.command(
    epilog="Examples: finlib cluster hashes.parquet -o clusters.csv;  "
    "finlib cluster new.parquet --onto clusters.csv --corrections corrections.csv -o later.csv"
)
@writes_table
def cluster(
    hashes: Source,
    output: Output,
    onto: Annotated[
        Path | None,
        typer.Option(help="An earlier table of clusters to extend.", show_default="none"),
    ] = None,
    corrections: Corrections = None,
    together: PairsOfFiles = None,
    apart: PairsOfFiles = None,
    distance: Annotated[
        str | None,
        typer.Option(
            metavar="hamming|rows",
            help="How two hashes are compared, as for `match`; with --onto as the earlier run did.",
            show_default="hamming",
        ),
    ] = None,
    turned: Annotated[
        bool,
        typer.Option(
            "--turned",
            help="Also bring together turned and mirrored copies. It reads the pictures again, and "
            "lets in two to five times the false matches of its radius.",
        ),
    ] = False,
    min_quality: MinQuality = 0,
    hasher: HasherOrPart = None,
    workers: Workers = None,
    scheduler: Scheduler = "",
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Group files whose hashes are alike: a row per file, with the number and the size of its
    cluster.

    Equal hashes are always in one cluster, and no file is farther from its cluster's centre than
    a radius, which is printed. --turned then joins clusters that have turned or mirrored copies of
    each other; with --onto, new files are compared with all in HASHES.

    With --onto, files of an earlier run keep their clusters and new files join them. --corrections
    takes what the page of `finlib show` saved, --together only its pairs marked right, and --apart
    those marked wrong. An interrupted run resumes when it is started again.
    """
    from finlib.command import grouping, inputs
    from finlib.command.cluster import (
        Corrections,
        check_distance_of,
        check_outputs,
        write_clusters,
    )

    if scheduler and workers:
        raise ValueError("--scheduler has workers of its own: leave out --workers.")
    if scheduler and turned:
        raise ValueError("--scheduler has workers that read no pictures: leave out --turned.")
    check_outputs(output, overwrite, (hashes, onto, corrections, together, apart))
    corrected = Corrections(corrections, together, apart)
    if onto is not None:
        distance = check_distance_of(onto, distance)
    distance = distance or "hamming"
    loaded = inputs.load(hashes, hasher, min_quality, workers, distance)
    turned_radius = grouping.same_picture_radius(loaded.hasher) if turned else None
    write_clusters(loaded, output, onto, corrected, distance, workers, scheduler, turned_radius)


@app.command(
    epilog="Examples: finlib show pairs.parquet -o page.html;  "
    "finlib show clusters.csv --by doubt -o page.html"
)
def show(
    table: Annotated[
        Path, typer.Argument(metavar="PAIRS|CLUSTERS", help="What `match` or `cluster` wrote.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The page to write, .html.")],
    by: Annotated[
        str,
        typer.Option(
            help="The order of clusters: by size, or by doubt, which puts those with a file far "
            "from the centre first. Pairs come in order of their distance, the farthest first."
        ),
    ] = "size",
    most: Annotated[
        int, typer.Option(min=2, help="The most images to embed, about 5 KB each.")
    ] = 4000,
    within: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FOLDER",
            help="A folder whose images may be read, besides the table's own folder and the "
            "current one; may be given several times.",
            show_default="none",
        ),
    ] = None,
    workers: Workers = None,
    overwrite: Overwrite = False,
) -> None:
    """Make a page of pairs or clusters to look at and to mark right or wrong.

    The page is one file that opens offline. It saves what is marked as a CSV, which `finlib
    cluster` reads.
    """
    from finlib.command.output import claim
    from finlib.command.page import show_table

    with claim(output):
        show_table(table, output, by, most, workers, overwrite, within or ())


@app.command(
    epilog="Examples: finlib duplicates photos -o groups.csv;  "
    "finlib duplicates phone camera --reference archive --then script -o groups.csv"
)
@writes_table
def duplicates(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="Folders of images.")],
    output: Output,
    reference: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FOLDER",
            help="A folder whose files are compared with the others and are never proposed for "
            "removal; may be given several times.",
            show_default="none",
        ),
    ] = None,
    hasher: HasherName = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RULE",
            help="Which file to keep: detail, largest, smallest, oldest, newest, longest-name, "
            "shortest-name or folder:PATH. May be given several times, the first rule first.",
            show_default="detail",
        ),
    ] = None,
    level: Annotated[
        str,
        typer.Option(
            help="What counts as a copy: exact (equal bytes), same-picture (encoded again, "
            "resized, turned, slightly edited) or same-family (as `cluster` groups)."
        ),
    ] = "same-picture",
    radius: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="The largest distance from the kept file, in bits, at the level same-picture.",
            show_default="by the hasher",
        ),
    ] = None,
    corrections: Corrections = None,
    then: Annotated[
        str | None,
        typer.Option(
            metavar="list|script|link",
            help="Also write a list of the files besides the ones to keep, a script that moves "
            "them into a folder, or a script that makes hard links of byte for byte equal files.",
            show_default="nothing",
        ),
    ] = None,
    min_quality: MinQuality = 0,
    hidden: Hidden = False,
    exclude: Exclude = None,
    prepare: Prepare = False,
    max_pixels: MaxPixels = None,
    workers: Workers = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Find copies of images in folders: a table with a row per group, and a page. Nothing is
    deleted.

    The file to keep comes first, by default the one with the most real detail, and the column
    `why` says in words why. Look at the page, mark groups wrong, choose other files to keep, and
    give what it saves to --corrections: a pair that is not a duplicate stays so in later runs. The
    hashes are written, too, so that the next run hashes only what is new or changed.
    """
    from finlib.command.duplicates import DuplicatesRun
    from finlib.command.inputs import Selection
    from finlib.hashing.images import pixel_limit

    run = DuplicatesRun(
        folders,
        reference or (),
        hasher,
        min_quality,
        Selection(hidden, tuple(exclude or ())),
        keep or ["detail"],
        level,
        radius,
        corrections,
        then,
        prepare,
        workers,
    )
    with pixel_limit(max_pixels):
        run.write(output, overwrite)


@app.command(epilog="Example: finlib evaluate my_families -o scores.csv")
@writes_table
def evaluate(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder of images named FFFF_ID.ext.")
    ],
    output: Output,
    hasher: Annotated[
        list[str] | None,
        typer.Option(help="A hasher to score; may be given several times.", show_default="all"),
    ] = None,
    distance: Annotated[
        list[str] | None,
        typer.Option(
            metavar="hamming|rows",
            help="A distance to score the hashers by, as for `match`; may be given several times.",
            show_default="hamming",
        ),
    ] = None,
    labels: Annotated[
        str,
        typer.Option(
            metavar="auto|yes",
            help="Whether every name FFFF_ID.ext is a label; auto looks at all names first.",
        ),
    ] = "auto",
    workers: Workers = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Score hashers on labelled images, a row per hasher and distance.

    The digits FFFF in a name say which images belong together, unless few names have that form, all
    the digits are years, or hardly any two images have the same ones. A hasher is scored by each
    distance that can compare its hashes.
    """
    from finlib.command.evaluate import COLUMNS, write_scores
    from finlib.command.output import check_table_output

    check_table_output(output, COLUMNS, overwrite)
    write_scores(folder, output, hasher, distance, workers, labels)


def main() -> None:
    """Run the `finlib` command and exit with its status."""
    process.run_and_exit(app)


if __name__ == "__main__":
    main()
