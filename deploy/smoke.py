"""Show that what is installed collects: a few seconds from a simulated exchange, by both commands, and a health check.

Run by the image's build before anything is copied, and by whoever has installed by hand: ``python deploy/smoke.py``.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from depth.exchange.simulated import SyntheticSource, threaded

ROOT = Path(__file__).resolve().parents[1]
_SECONDS = 120


def main() -> int:
    """Run every step; the first one that fails ends it with its exit code."""
    with threaded(SyntheticSource()) as exchange, tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {
            "BINANCE_REST_URL": exchange.rest_url,
            "BINANCE_WS_URL": exchange.ws_url,
            "SQLITE_PATH": f"{folder}/depth.db",
            "SPOOL_PATH": f"{folder}/spool.db",
            "PREFECT_HOME": f"{folder}/prefect",
            "METRICS_PORT": "0",
        }
        for step in (
            ["-m", "depth", "collect", "--backend", "sqlite", "--duration", "6"],
            ["-m", "depth", "health", "--max-age", "60"],
            [str(ROOT / "flows" / "collect.py"), "--dry-run", "--duration", "4"],
            [str(ROOT / "flows" / "verify.py"), "--json"],
            ["-c", "import depth.storage.bigtable"],
        ):
            sys.stdout.write(f"$ python {' '.join(step)}\n")
            sys.stdout.flush()
            # Our own commands, each bounded.
            done = subprocess.run([sys.executable, *step], env=environment, cwd=folder, timeout=_SECONDS, check=False)  # noqa: S603
            if done.returncode:
                sys.stdout.write(f"failed with {done.returncode}\n")
                return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
