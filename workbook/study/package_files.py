"""Find files that other Python packages ship, such as example photographs and a font."""

from importlib.util import find_spec
from pathlib import Path


def package_file(package: str, name: str) -> Path:
    """The path of a file that an installed package ships.

    `name` is the file's path inside the package. The package is not imported, because that may take
    seconds. ValueError where it is not installed.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(
            f"The built-in pictures need {name} from the package {package}, which is not "
            "installed. Install what the workbook needs: pip install -r requirements.lock"
        )
    folder = spec.submodule_search_locations[0]
    return Path(folder, name)
