"""What the numbers were measured on: the kind of machine, never its name or its paths."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

_CPU_INFO = Path("/proc/cpuinfo")
_PACKAGES = ("ccxt", "python-binance", "orjson", "msgspec")


def describe() -> dict[str, str | int]:
    """Give processor, cores, system and Python."""
    return {
        "cpu": _processor(),
        "cores": os.cpu_count() or 0,
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def versions() -> dict[str, str]:
    """Give the versions of the libraries that were measured or that read their JSON."""
    return {package: version(package) for package in _PACKAGES}


def _processor() -> str:
    if _CPU_INFO.is_file():
        for line in _CPU_INFO.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
