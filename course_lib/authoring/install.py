"""The first code cell of every page: it installs the course where that has not been done."""

CELL = """\
# @title Install the course where it is missing, as on Colab; elsewhere this cell does nothing
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("course_lib") is None:
{find}
    print("Installing the course ...")
    if subprocess.call([sys.executable, "-m", "pip", "install", "-q", package]):
        sys.exit("pip could not install the course: the lines above say why.")"""

PUBLISHED = """\
    package = "course-lib @ git+https://github.com/{repository}@{ref}\""""

NEARBY = """\
    from pathlib import Path

    places = [Path.cwd(), *Path.cwd().parents, Path("/content"), Path("/content/drive/MyDrive")]
    wheels = [str(wheel) for place in places for wheel in sorted(place.glob("course_lib-*-any.whl"))[-1:]]
    clones = [str(place) for place in places if (place / "pyproject.toml").exists() and (place / "course_lib").exists()]
    if not wheels + clones:
        sys.exit("The course is not here: put its wheel (`make wheel` makes it) beside this page, then run this cell.")
    package = (wheels + clones)[0]"""


def install_cell(repository: str, ref: str) -> str:
    """The cell's code; pip keeps what fits the course's ranges, such as the torch that Colab comes with.

    Args:
        repository: where the course is published, as "organisation/name"; empty = it is searched nearby, as a wheel
            or as the folder that it was cloned into.
        ref: the published branch or tag.
    """
    return CELL.format(find=PUBLISHED.format(repository=repository, ref=ref) if repository else NEARBY)
