"""Drive on a stand-in for Colab: a folder."""

from pathlib import Path


def mount(mountpoint: str) -> None:
    """Make a reader's Drive appear, as it does after two clicks."""
    (Path(mountpoint) / "MyDrive").mkdir(parents=True, exist_ok=True)
    print(f"Mounted at {mountpoint}")
