"""`systemctl` and `systemd-run` for scripts under test: the first asks the test's `Systemd`, the second runs at once.

SYSTEMD is a folder: `socket`, where the test listens, and `environment.json`, what /etc/depth/depth.env says.
"""

import itertools
import json
import os
import socket
import sys
from pathlib import Path

SYSTEMD = Path(os.environ["SYSTEMD"])


def main(name: str, arguments: list[str]) -> int:
    """Do what the program of this name would; give its exit code."""
    if name == "systemd-run":
        return _run(arguments)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(SYSTEMD / "socket"))
        with connection.makefile("rw") as lines:
            lines.write(json.dumps(arguments) + "\n")
            lines.flush()
            code, said = json.loads(lines.readline())
    sys.stdout.write(said)
    return int(code)


def _run(arguments: list[str]) -> int:
    command = [*itertools.dropwhile(lambda word: word.startswith("--"), arguments)]
    folder = next(word.partition("=")[2] for word in arguments if word.startswith("--working-directory="))
    os.chdir(folder)
    os.execvpe(command[0], command, json.loads((SYSTEMD / "environment.json").read_text()))  # noqa: S606  # as it does


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
