"""Are the installed packages the ones that the course was tested with?"""

import re
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from course_lib.learn.examining import Line

NAMED = ("torch", "transformers", "peft", "trl")
AGAIN = "run `make learn` again after deleting .venv"


def locked_versions(lock: Path | None) -> dict[str, str]:
    """Package -> version of a requirements lock file; empty when there is no such file."""
    if lock is None or not lock.exists():
        return {}
    return dict(re.findall(r"(?m)^([A-Za-z0-9_.-]+)==([^\s;]+)", lock.read_text()))


def packages(locked: dict[str, str]) -> list[Line]:
    """One line for all that fit, and one for each that does not.

    Args:
        locked: the exact versions to compare with; empty = the ranges that the course itself asks for.
    """
    try:
        needs = _needs("lab" if locked else "")
    except PackageNotFoundError:
        remedy = "run `pip install .` in the course's folder, then restart the kernel"
        return [Line("packages", False, "the course is not installed, only found as a folder", remedy)]
    lines = [_misfit(name, ranges, locked.get(canonicalize_name(name), "")) for name, ranges in needs.items()]
    misfits = [line for line in lines if line]
    wrong = {line.part for line in misfits}
    named = ", ".join(f"{name} {version(name)}" for name in NAMED if name in needs and name not in wrong)
    fit = f"{len(needs) - len(misfits)} of {len(needs)} are as {'tested' if locked else 'the course needs them'}"
    return [Line("packages", True, f"{fit}: {named}"), *misfits]


def _needs(extra: str) -> dict[str, SpecifierSet]:
    needs = map(Requirement, requires("course-lib") or ())
    return {n.name: n.specifier for n in needs if n.marker is None or n.marker.evaluate({"extra": extra})}


def _misfit(name: str, ranges: SpecifierSet, wanted: str) -> Line | None:
    install = AGAIN if wanted else f'run `%pip install "{name}{ranges}"` in a cell, then restart the kernel'
    try:
        seen = version(name)
    except PackageNotFoundError:
        return Line(name, False, "not installed", install)
    try:
        fits = seen.split("+")[0] == wanted if wanted else ranges.contains(seen, prereleases=True)
    except InvalidVersion:
        fits = False
    if not fits:
        tested = f"the course was tested with {wanted}: " if wanted else ""
        return Line(name, False, seen, tested + install)
    loaded = str(getattr(sys.modules.get(name.replace("-", "_")), "__version__", seen))
    if _differ(loaded, seen):
        return Line(name, False, f"{seen} is installed, {loaded} is still loaded", "restart the kernel")
    return None


def _differ(one: str, other: str) -> bool:
    try:
        return Version(one).public != Version(other).public
    except InvalidVersion:
        return False
