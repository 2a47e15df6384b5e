"""`python -m workbook report` makes the report; `python -m workbook scale` measures clusterings of millions."""

import sys
from argparse import ArgumentParser
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of the workbook's commands; wrong use ends with status 2, a failed run with 1."""
    parser = ArgumentParser(prog="python -m workbook", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    report = commands.add_parser(
        "report", help="run all notebooks and render the report, as `make report` does"
    )
    report.add_argument(
        "--data", metavar="DIR", help="images named FFFF_ID.ext, or pictures to caption"
    )
    report.add_argument("--name", help="write under runs/NAME; by default the folder's name")
    report.add_argument(
        "--only", metavar="NN,NN", help="run these notebooks alone; none: render the report alone"
    )
    report.add_argument(
        "--publish", action="store_true", help="copy tables and numbers of run NAME to figures/NAME"
    )
    scale = commands.add_parser(
        "scale", help="cluster up to thirty million simulated hashes: takes an hour"
    )
    scale.add_argument("--out", default="figures", help="the folder to write tables to")
    scale.add_argument(
        "--largest", type=int, help="the number of hashes in the largest set to cluster"
    )
    given = parser.parse_args(arguments)
    try:
        if given.command == "report":
            from workbook.report.run import run_report

            chosen = {None: None, "none": []}.get(given.only, (given.only or "").split(","))
            run_report(given.data, given.name, only=chosen, publish=given.publish)
        else:
            from workbook.report.scale import measure_scale

            measure_scale(given.out, given.largest)
    except KeyboardInterrupt:
        sys.exit("workbook: interrupted; notebooks that ended are written")
    except (ValueError, TypeError, FileNotFoundError, NotADirectoryError) as error:
        print(f"workbook: {error}", file=sys.stderr)
        sys.exit(2)
    except (OSError, RuntimeError, MemoryError) as error:
        sys.exit(f"workbook: {error}")


if __name__ == "__main__":
    main()
