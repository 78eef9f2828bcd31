"""Whether files can be written where they shall be."""

import tempfile
from pathlib import Path


def existing(path: Path) -> Path:
    """Give the nearest folder above a file that is there."""
    return next(folder for folder in path.absolute().parents if folder.exists())


def unwritable(path: Path) -> str | None:
    """Say in one line why no file can be made at `path`; None where one can.

    Args:
        path: of a file that need not be there, nor its folders.
    """
    folder = existing(path)
    try:
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return f"{folder} cannot be written ({error.strerror}): give this user the right to it"
