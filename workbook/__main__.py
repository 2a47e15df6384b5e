"""The workbook's two commands.

`python -m workbook report` runs the notebooks and renders the report. `python -m workbook scale`
measures how clustering copes with millions of hashes, which takes an hour.
"""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import NoReturn

WRONG_USE = (ValueError, TypeError, FileNotFoundError, NotADirectoryError)
"""Errors that the user can mend by calling the command differently: exit status 2."""

FAILED_RUN = (OSError, RuntimeError, MemoryError)
"""Errors of a run that was asked for correctly: exit status 1."""


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
        run_command(options)
    except KeyboardInterrupt:
        sys.exit("workbook: interrupted; the notebooks that had finished are saved")
    except WRONG_USE as error:
        print(f"workbook: {error}", file=sys.stderr)
        sys.exit(2)
    except FAILED_RUN as error:
        sys.exit(f"workbook: {error}")


def make_parser() -> Parser:
    """Describe the two commands and their options."""
    parser = Parser(
        prog="python -m workbook",
        description="Make the report, or measure how clustering copes with millions of hashes.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
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
    scale = commands.add_parser(
        "scale",
        help="cluster up to thirty million simulated hashes, which takes an hour",
    )
    scale.add_argument(
        "--out",
        default="figures",
        help="the folder that the tables are written to",
    )
    scale.add_argument(
        "--largest",
        type=int,
        help="the number of hashes in the largest set to cluster",
    )
    return parser


def run_command(options: Namespace) -> None:
    """Run the command that was chosen; its modules are imported only now, because they load
    slowly."""
    if options.command == "report":
        from workbook.report.run import run_report

        run_report(
            options.data,
            options.name,
            only=chosen_notebooks(options.only),
            publish=options.publish,
        )
    else:
        from workbook.report.scale import measure_scale

        measure_scale(options.out, options.largest)


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
