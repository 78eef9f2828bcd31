"""The real Bigtable emulator, as a child process."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NAME = "cbtemulator"
_SDK_PLACES = ("/usr/lib/google-cloud-sdk", "/opt/google-cloud-sdk", "/google-cloud-sdk", "~/google-cloud-sdk")

MISSING = (
    f"NO BIGTABLE EMULATOR, ITS TESTS DO NOT RUN: {_NAME} is neither on PATH, nor named by CBTEMULATOR, nor in a "
    "Google Cloud SDK (apt-get install google-cloud-cli-bigtable-emulator, or gcloud components install bigtable)"
)


def find() -> Path | None:
    """Look for the binary: CBTEMULATOR, PATH, beside `gcloud`, the usual places of the SDK."""
    if named := os.environ.get("CBTEMULATOR"):
        return Path(named)
    if found := shutil.which(_NAME):
        return Path(found)
    places = [Path(place).expanduser() for place in _SDK_PLACES]
    if gcloud := shutil.which("gcloud"):
        places.insert(0, Path(gcloud).resolve().parent.parent)
    binaries = (place / "platform" / "bigtable-emulator" / _NAME for place in places)
    return next((binary for binary in binaries if binary.is_file()), None)


@contextmanager
def running(port: int = 0) -> Iterator[str]:
    """Run an empty emulator.

    Args:
        port: to listen on; 0 for a free one.

    Yields:
        Its ``host:port``, once it serves.
    """
    binary = find()
    if binary is None:
        raise FileNotFoundError(MISSING)
    with subprocess.Popen(
        [binary, "-host", "127.0.0.1", "-port", str(port)], stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            assert child.stdout is not None
            said = child.stdout.readline()
            served = re.search(r"127\.0\.0\.1:\d+", said)
            assert served, f"{binary} said {said!r}"
            yield served[0]
        finally:
            child.kill()
