"""The workbook's commands.

`python -m workbook report` runs the notebooks and renders the report. `python -m workbook scale`
measures how clustering copes with millions of hashes, which takes an hour, and `python -m workbook
lookups` how many look-ups a core answers in a second. `python -m workbook rows` records how the row
distance was chosen and judged, and `python -m workbook site` puts captions on a folder of
templates, for a set of images that deciding the method rests on. `python -m workbook kinds` counts
the false pairs that advised radii let in on pictures of many kinds.

`python -m workbook rivals` scores hashes and distances that others propose, `copies` counts which
near copies each method finds, and `evasion` looks for the least change that each method misses.
`python -m workbook bench` measures how fast finlib is, `python -m workbook scan` how many hashes
the exact engine compares in a second, and `python -m workbook gpu` what a GPU adds. `python -m
workbook costs` calculates from all of these what each method costs with more images, which `report`
does as well. `python -m workbook pages` writes the executed notebooks as web pages. `python -m
workbook rehearsal` makes a set of images of the class set's size, to rehearse a report on.
"""

import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

WRONG_USE = (ValueError, TypeError, FileNotFoundError, NotADirectoryError)
"""Errors that the user can mend by calling the command differently: exit status 2."""

FAILED_RUN = (OSError, RuntimeError, MemoryError)
"""Errors of a run that was asked for correctly: exit status 1."""


class NamedFolder(NamedTuple):
    """A folder of images, and what its set is called in the tables."""

    name: str
    folder: str


class Study(NamedTuple):
    """A command that measures sets of pictures, the built-in one among them."""

    name: str
    help: str
    pictures: str
    """What a folder should hold."""


OTHER_STUDIES = (
    Study(
        "rivals",
        "score hashes and distances that others propose, as the candidates are scored",
        "images named FFFF_ID.ext, or templates to put captions on",
    ),
    Study(
        "copies",
        "count which near copies each method finds, from JPEG and thumbnails to captions",
        "pictures, with or without transparency",
    ),
    Study(
        "evasion",
        "look for the least change that each method misses, and what it costs to find it anyway",
        "pictures",
    ),
)


class Parser(ArgumentParser):
    """An argument parser that answers wrong use with one line instead of a page of usage."""

    def error(self, message: str) -> NoReturn:
        """Print the message and where help is, then exit with status 2."""
        self.exit(2, f"workbook: {message}; see {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of the workbook's commands.

    arguments: the words after `python -m workbook`, by default those of the command line. Wrong use
    exits with status 2 and a failed run with status 1; both print one line that says what happened.
    """
    options = make_parser().parse_args(arguments)
    try:
        options.run(options)
    except KeyboardInterrupt:
        sys.exit(f"workbook: interrupted; {options.when_interrupted}")
    except WRONG_USE as error:
        print(f"workbook: {error}", file=sys.stderr)
        sys.exit(2)
    except FAILED_RUN as error:
        sys.exit(f"workbook: {error}")


def make_parser() -> Parser:
    """Describe the commands and their options."""
    parser = Parser(
        prog="python -m workbook",
        description="Make the report, or take a measurement that it quotes beside the notebooks.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    add_report(commands)
    add_scale(commands)
    add_scan(commands)
    add_lookups(commands)
    add_bench(commands)
    add_gpu(commands)
    add_rows(commands)
    add_site(commands)
    add_rehearsal(commands)
    add_kinds(commands)
    for study in OTHER_STUDIES:
        add_study(commands, study)
    add_costs(commands)
    add_pages(commands)
    return parser


def add_report(commands: Any) -> None:
    """Describe `report`."""
    report = commands.add_parser(
        "report",
        help="run all notebooks and render the report, as `make report` does",
    )
    report.add_argument(
        "--data",
        metavar="DIR",
        help="your own images: files named FFFF_ID.ext, or pictures to be captioned",
    )
    report.add_argument(
        "--name",
        help="write under runs/NAME; by default NAME is that of the folder of images",
    )
    report.add_argument(
        "--only",
        metavar="NN,NN",
        help="run only these notebooks; `none` renders the report from the results that exist",
    )
    report.add_argument(
        "--publish",
        action="store_true",
        help="copy the tables and numbers of run NAME to figures/NAME",
    )
    report.set_defaults(
        run=make_report,
        when_interrupted="the notebooks that had finished are saved",
    )


def add_scale(commands: Any) -> None:
    """Describe `scale`."""
    scale = commands.add_parser(
        "scale",
        help="cluster up to a hundred million simulated hashes, which takes an hour",
    )
    add_out(scale)
    scale.add_argument(
        "--largest",
        type=int,
        help="the number of hashes in the largest set to cluster",
    )
    scale.add_argument(
        "--distance",
        choices=("hamming", "rows"),
        default="hamming",
        help="hamming: FINd-like hashes, up to thirty million; rows: dHashes of captions, "
        "up to a hundred million",
    )
    scale.set_defaults(run=scale_up, when_interrupted="the tables are not complete")


def add_scan(commands: Any) -> None:
    """Describe `scan`."""
    scan = commands.add_parser(
        "scan",
        help="measure how many hashes the exact engine compares in a second, beside FAISS",
    )
    scan.add_argument(
        "--out",
        default="figures",
        help="the folder that the table is written to",
    )
    scan.set_defaults(run=record_scan, when_interrupted="there is no table")


def add_lookups(commands: Any) -> None:
    """Describe `lookups`."""
    lookups = commands.add_parser(
        "lookups",
        help="measure look-ups among up to ten million stored hashes, by row keys and exactly",
    )
    add_out(lookups)
    lookups.add_argument(
        "--largest",
        type=int,
        help="the number of stored hashes in the largest set, up to 100,000,000; ten million where "
        "it is left out",
    )
    lookups.set_defaults(run=look_up, when_interrupted="the tables are not complete")


def add_bench(commands: Any) -> None:
    """Describe `bench`."""
    bench = commands.add_parser(
        "bench",
        help="measure how fast finlib is, as ratios, and append them to a table",
    )
    bench.add_argument(
        "--size",
        default="full",
        help="full, which takes minutes, or small, which only shows that everything runs",
    )
    bench.add_argument(
        "--out",
        default="bench.csv",
        help="the table to append to",
    )
    bench.set_defaults(run=measure_ratios, when_interrupted="nothing is appended")


def add_gpu(commands: Any) -> None:
    """Describe `gpu`."""
    gpu = commands.add_parser(
        "gpu",
        help="measure hashing and scanning on an NVIDIA GPU",
    )
    add_out(gpu)
    gpu.set_defaults(run=measure_on_gpu, when_interrupted="the tables are not complete")


def add_rows(commands: Any) -> None:
    """Describe `rows`."""
    rows = commands.add_parser(
        "rows",
        help="choose the constants of the row distance on halves of sets, and judge the choice",
    )
    add_sets(
        rows,
        "--explore",
        "images on half of which the constants are chosen, besides the built-in families",
    )
    add_sets(
        rows,
        "--judge",
        "images on which the choice is only judged",
    )
    add_out(rows)
    rows.set_defaults(run=record_rows, when_interrupted="the tables are not complete")


def add_site(commands: Any) -> None:
    """Describe `site`."""
    site = commands.add_parser(
        "site",
        help="put captions on a folder of templates, to make a set of families",
    )
    site.add_argument("templates", metavar="TEMPLATES", help="a folder of pictures")
    site.add_argument(
        "captions",
        metavar="CAPTIONS",
        help="a JSON file of captions: `own` by the name of a template, and `pool` for the others",
    )
    site.add_argument("out", metavar="OUT", help="a new folder to write the images to")
    site.add_argument(
        "--near-kin",
        action="store_true",
        help="keep templates that are recoloured or cropped versions of earlier ones",
    )
    site.set_defaults(run=make_site, when_interrupted="the folder of images is not complete")


def add_rehearsal(commands: Any) -> None:
    """Describe `rehearsal`."""
    rehearsal = commands.add_parser(
        "rehearsal",
        help="make a set of images of the class set's size, to rehearse a report on",
    )
    rehearsal.add_argument("out", metavar="OUT", help="a new folder to write the images to")
    rehearsal.add_argument(
        "--images",
        type=int,
        default=55_972,
        help="the number of images, by default as in the class set",
    )
    rehearsal.add_argument(
        "--families",
        type=int,
        default=1_034,
        help="the number of families, by default as in the class set",
    )
    rehearsal.set_defaults(run=rehearse, when_interrupted="the folder of images is not complete")


def add_kinds(commands: Any) -> None:
    """Describe `kinds`."""
    kinds = commands.add_parser(
        "kinds",
        help="count the false pairs that advised radii let in, on pictures of many kinds",
    )
    kinds.add_argument(
        "folder",
        metavar="DIR",
        help="a folder that has a folder of unrelated pictures for each kind",
    )
    add_sets(
        kinds,
        "--families",
        "images of families to count on as well, besides the built-in families",
    )
    add_sets(
        kinds,
        "--templates",
        "the pictures without captions of a set of families, to find near kin among",
    )
    add_out(kinds)
    kinds.set_defaults(run=count_on_kinds, when_interrupted="the tables are not complete")


def add_study(commands: Any, study: Study) -> None:
    """Describe a command of OTHER_STUDIES."""
    command = commands.add_parser(study.name, help=study.help)
    add_sets(
        command,
        "--set",
        f"a set besides the built-in one: {study.pictures}",
    )
    add_out(command)
    command.set_defaults(run=run_study, when_interrupted="the tables are not complete")


def add_costs(commands: Any) -> None:
    """Describe `costs`."""
    costs = commands.add_parser(
        "costs",
        help="calculate what each method costs with more images, from the tables that exist",
    )
    add_out(costs)
    costs.set_defaults(run=calculate_costs, when_interrupted="the table is not complete")


def add_pages(commands: Any) -> None:
    """Describe `pages`."""
    pages = commands.add_parser("pages", help="write the executed notebooks as web pages")
    pages.add_argument("--out", metavar="DIR", default="runs/pages", help="default: %(default)s")
    pages.set_defaults(run=make_pages, when_interrupted="pages written so far stay")


def add_out(command: Any) -> None:
    """Give a command the option that names the folder of its tables."""
    command.add_argument(
        "--out",
        default="figures",
        help="the folder that the tables are written to",
    )


def add_sets(command: Any, option: str, description: str) -> None:
    """Give a command an option for named sets of images, which may be given several times."""
    command.add_argument(
        option,
        action="append",
        default=[],
        type=named_folder,
        metavar="NAME=DIR",
        help=description,
    )


def named_folder(text: str) -> NamedFolder:
    """What NAME=DIR gives; ArgumentTypeError for text without a name or without a folder."""
    name, _, folder = text.partition("=")
    if not name or not folder:
        raise ArgumentTypeError(f"{text!r} should be a name and a folder, like memes=runs/memes")
    return NamedFolder(name, folder)


# The modules of each command are imported only when it runs, because they load slowly.


def make_report(options: Namespace) -> None:
    """Run `report`."""
    from workbook.report.run import run_report

    run_report(
        options.data,
        options.name,
        only=chosen_notebooks(options.only),
        publish=options.publish,
    )


def scale_up(options: Namespace) -> None:
    """Run `scale`."""
    from workbook.report.scale import measure_scale, measure_scale_by_rows

    measure = measure_scale_by_rows if options.distance == "rows" else measure_scale
    measure(options.out, options.largest)


def look_up(options: Namespace) -> None:
    """Run `lookups`."""
    from workbook.report.scale import measure_lookups

    measure_lookups(options.out, options.largest)


def measure_ratios(options: Namespace) -> None:
    """Run `bench`."""
    from workbook.report.bench import run_bench

    rows = run_bench(options.size, options.out)
    print(rows[["ratio", "median", "low", "high"]].to_string(index=False))
    print(f"appended to {options.out}")


def measure_on_gpu(options: Namespace) -> None:
    """Run `gpu`."""
    from workbook.report.gpu import measure_gpu

    measure_gpu(options.out)


def record_scan(options: Namespace) -> None:
    """Run `scan`."""
    from workbook.report.record import Recorder
    from workbook.study.scan_rates import measure

    recorder = Recorder("scan", options.out)
    recorder.table("rates", measure(), key=["instructions", "work"])
    recorder.save()


def record_rows(options: Namespace) -> None:
    """Run `rows`."""
    from workbook.report.row_distances import record_row_distances

    record_row_distances(
        folders_by_name(options.explore),
        folders_by_name(options.judge),
        options.out,
    )


def run_study(options: Namespace) -> None:
    """Run a command of OTHER_STUDIES: `record` of the module of its name."""
    module = import_module(f"workbook.report.{options.command}")
    module.record(folders_by_name(options.set), options.out)


def folders_by_name(given: Sequence[NamedFolder]) -> dict[str, str]:
    """The folders by the names of their sets; ValueError for a name given twice."""
    folders: dict[str, str] = {}
    for name, folder in given:
        if name in folders:
            raise ValueError(f"the name {name!r} is given to two folders: give each its own")
        folders[name] = folder
    return folders


def calculate_costs(options: Namespace) -> None:
    """Run `costs`."""
    from workbook.report.costs import record

    record(options.out)


def make_pages(options: Namespace) -> None:
    """Run `pages`."""
    from workbook.report.pages import write_pages

    written = write_pages(Path(options.out))
    print(f"written: {len(written)} pages; begin with {written[0]}")


def make_site(options: Namespace) -> None:
    """Run `site`."""
    from finlib.hashing.images import family_of, list_images
    from workbook.study.site import caption_templates

    for given in (options.templates, options.captions):
        if not Path(given).exists():
            raise FileNotFoundError(f"there is no {given}: give the templates and their captions")
    folder = caption_templates(
        options.templates,
        options.captions,
        options.out,
        near_kin=options.near_kin,
    )
    images = list_images(folder)
    families = {family_of(path) for path in images}
    templates = len(list_images(options.templates))
    print(
        f"written: {len(images):,} images of {len(families):,} templates in {folder}; "
        f"{templates - len(families):,} templates left out as near kin"
    )


def rehearse(options: Namespace) -> None:
    """Run `rehearsal`."""
    from workbook.study.rehearsal import make_rehearsal

    folder = make_rehearsal(options.out, options.images, options.families)
    print(
        f"written: {options.images:,} images of {options.families:,} families in {folder}; make a "
        f"report on them with python -m workbook report --data {folder}"
    )


def count_on_kinds(options: Namespace) -> None:
    """Run `kinds`."""
    from workbook.report.kinds import record_kinds

    if not Path(options.folder).is_dir():
        raise FileNotFoundError(
            f"there is no folder {options.folder}: give a folder with one folder for each kind"
        )
    record_kinds(
        options.folder,
        folders_by_name(options.families),
        folders_by_name(options.templates),
        options.out,
    )


def chosen_notebooks(only: str | None) -> list[str] | None:
    """The notebooks that `--only` names: "01,05" gives ["01", "05"], "none" gives [] and no option
    gives None."""
    if only is None:
        return None
    if only == "none":
        return []
    return only.split(",")


if __name__ == "__main__":
    main()
