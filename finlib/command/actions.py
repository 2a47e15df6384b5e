"""What `finlib duplicates --then` writes besides the groups, for a person to run or to read.

list    a text file with the path of each file besides the ones to keep
script  a shell script that moves these files into a folder
link    a shell script that replaces byte for byte equal files by hard links to one of them

Nothing here touches a picture. The scripts check each file again when they run: the file to keep
must be there, and the other must not have changed.
"""

import json
import os
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from finlib.command.output import say
from finlib.files import text_to_path, write_atomically

ACTIONS = ("list", "script", "link")
SUFFIX_OF = {"list": ".copies.txt", "script": ".move.sh", "link": ".link.sh"}
MARK_OF = {
    "script": b"#!/bin/sh\n# This is a script of `finlib duplicates --then script`.\n",
    "link": b"#!/bin/sh\n# This is a script of `finlib duplicates --then link`.\n",
}
SAY = r"""
status=0
say() { # MESSAGE: printed without control characters
  printf 'left as it is: %s' "$1" | LC_ALL=C tr '\000-\037\177' '?' >&2
  echo >&2
  status=1
}
"""
MOVE = (
    SAY
    + r"""
move() { # KEPT ITS_BYTES COPY ITS_BYTES
  if [ ! -f "$1" ] || [ "$(wc -c < "$1")" -ne "$2" ]; then
    say "$3 (the file to keep is gone or has changed)"
  elif [ ! -f "$3" ] || [ "$(wc -c < "$3")" -ne "$4" ]; then
    say "$3 (it is gone or has changed)"
  elif [ -e "$to$3" ] || [ -L "$to$3" ]; then
    say "$3 (a file of that name has been moved before)"
  else
    mkdir -p -- "$to${3%/*}" && mv -- "$3" "$to$3" || say "$3"
  fi
}
"""
)
LINK = (
    SAY
    + r"""
link() { # KEPT COPY
  new=$2.$$.link
  if [ "$1" -ef "$2" ]; then
    : # they are one file already
  elif [ -L "$1" ] || [ -L "$2" ] || [ -e "$new" ]; then
    say "$2 (it is a link, or its kept copy is)"
  elif ! cmp -s -- "$1" "$2"; then
    say "$2 (it is not equal to $1)"
  elif ln -- "$1" "$new"; then
    mv -f -- "$new" "$2" || say "$2"
  else
    say "$2 (no hard link can be made to $1)"
  fi
}
"""
)


def check_action(action: str) -> None:
    """ValueError for an unknown action."""
    if action not in ACTIONS:
        raise ValueError(f"--then must be one of {', '.join(ACTIONS)}, not {action}.")


def action_file(action: str, output: Path) -> Path:
    """The file beside the table of groups that an action writes."""
    return output.with_suffix(SUFFIX_OF[action])


def moved_folder(output: Path) -> str:
    """The folder into which the script moves files if it is not given another."""
    return os.path.abspath(output.with_suffix(".moved"))


def check_output(action: str, output: Path, overwrite: bool) -> None:
    """Make sure that the action's file may be written; ValueError where it may not."""
    file = action_file(action, output)
    if not os.path.lexists(file):
        return
    if not file.is_file() or not _is_of_action(action, file.read_bytes()):
        raise ValueError(
            f"{file} exists and was not written by `finlib duplicates --then {action}`. Give "
            "--output another name, or move the file away."
        )
    if not overwrite:
        raise ValueError(f"{file} exists. Give another name, or --overwrite to replace it.")


def _is_of_action(action: str, content: bytes) -> bool:
    if action != "list":
        return content.startswith(MARK_OF[action])
    separator = b"\0" if b"\0" in content else b"\n"
    return all(name.startswith(b"/") for name in content.split(separator) if name)


def write_action(action: str, groups: pd.DataFrame, sizes: Mapping[str, int], output: Path) -> None:
    """Write the file of an action, and say what to do with it.

    groups: the table of groups. sizes: the bytes of each file, by its path in the table.
    """
    file = action_file(action, output)
    if action == "list":
        content = make_list(groups)
        advice = "The files besides the ones to keep are listed in"
        if b"\0" in content:
            advice = "Separated by NUL bytes, the files besides the ones to keep are listed in"
    elif action == "script":
        folder = moved_folder(output)
        content = make_move_script(groups, sizes, folder)
        advice = f"This script moves the files besides the ones to keep into {folder}:"
    else:
        content = make_link_script(groups)
        advice = "This script replaces equal files by hard links:"
    with write_atomically(file) as temporary:
        temporary.write_bytes(content)
    say(f"{advice} {file}")


def begin_scripts(output: Path) -> dict[str, str]:
    """The beginnings of what the page writes by itself, by the words of ACTIONS."""
    texts = {
        "list": b"",
        "script": begin_move_script(moved_folder(output)),
        "link": begin_link_script(),
    }
    return {action: text.decode("utf-8", "replace") for action, text in texts.items()}


def make_list(groups: pd.DataFrame) -> bytes:
    """The paths besides the ones to keep, one a line; separated by NUL bytes where a path has a
    line break.
    """
    paths = []
    for others in groups["others"]:
        paths += [_absolute(path) for path in json.loads(others)]
    separator = b"\0" if any(b"\n" in path for path in paths) else b"\n"
    return b"".join(path + separator for path in paths)


def make_move_script(groups: pd.DataFrame, sizes: Mapping[str, int], folder: str) -> bytes:
    """The script that moves the files besides the ones to keep into a folder."""
    calls = []
    for keep, others in zip(groups["keep"], groups["others"], strict=True):
        for path in json.loads(others):
            calls.append(b" ".join([b"move", *_sized(keep, sizes), *_sized(path, sizes)]))
    return begin_move_script(folder) + _joined(calls)


def begin_move_script(folder: str) -> bytes:
    """The script up to its calls of `move`."""
    usage = (
        b"# Read it, and run it as: sh THIS_FILE [FOLDER]\n"
        b"# It moves copies into the folder, below which they keep their whole paths.\n"
    )
    target = b"to=${1:-%s}\n" % os.fsencode(shlex.quote(folder))
    return MARK_OF["script"] + usage + target + MOVE.encode()


def make_link_script(groups: pd.DataFrame) -> bytes:
    """The script that replaces equal files by hard links to the first of them."""
    calls = []
    for equal in groups["equal"]:
        for first, *others in json.loads(equal):
            for path in others:
                calls.append(b" ".join([b"link", _quoted(first), _quoted(path)]))
    return begin_link_script() + _joined(calls)


def begin_link_script() -> bytes:
    """The script up to its calls of `link`."""
    usage = b"# Read it, and run it as: sh THIS_FILE\n"
    return MARK_OF["link"] + usage + LINK.encode()


def _joined(calls: Iterable[bytes]) -> bytes:
    return b"".join(call + b"\n" for call in [*calls, b"exit $status"])


def _sized(path: str, sizes: Mapping[str, int]) -> tuple[bytes, bytes]:
    return _quoted(path), b"%d" % sizes[path]


def _absolute(path: str) -> bytes:
    return os.fsencode(os.path.abspath(text_to_path(path)))


def _quoted(path: str) -> bytes:
    """The whole path, quoted for the shell."""
    return os.fsencode(shlex.quote(os.fsdecode(_absolute(path))))
