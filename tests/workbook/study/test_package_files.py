"""Files of other packages are found; where a package is missing, the remedy is named."""

import pytest

from workbook.study.package_files import package_file


def test_a_file_of_an_installed_package_is_found():
    path = package_file("matplotlib", "mpl-data/fonts/ttf/DejaVuSans-Bold.ttf")
    assert path.is_file()


@pytest.mark.parametrize("package", ["no_such_package", "ast"])  # a module alone ships no files
def test_a_package_that_is_not_there_is_named_with_what_to_install(package):
    with pytest.raises(ValueError, match=rf"photo\.png from the package {package}.*pip install"):
        package_file(package, "photo.png")
