"""How the sockets of live collectors are: asked of the metrics that they serve on this machine."""

import http.client
import urllib.request
from collections.abc import Collection, Iterator

from prometheus_client.parser import text_string_to_metric_families

from depth.exchange.base import Sockets
from depth.plan import METRICS_PORTS

_ANSWER_SECONDS = 0.5
_Samples = dict[tuple[str, str], float]  # name and value of its one label


def sockets(host: str, port: int, collectors: Collection[str]) -> Sockets | None:
    """Sum up the sockets of some collectors.

    Args:
        host: METRICS_HOST.
        port: METRICS_PORT, the first of ten.
        collectors: their ids; what others serve there is passed over.

    Returns:
        None where none of them serves metrics there.
    """
    if not collectors:
        return None
    found = [
        samples
        for samples in _served(host, port)
        if any(name == "depth_collector" and of in collectors for name, of in samples)
    ]
    if not found:
        return None

    def total(name: str, of: str = "") -> int:
        return int(sum(samples.get((name, of), 0.0) for samples in found))

    return Sockets(
        total("depth_sockets", "wanted"),
        total("depth_sockets", "open"),
        total("depth_sockets", "answering"),
        total("depth_socket_reconnects_total"),
    )


def _served(host: str, port: int) -> Iterator[_Samples]:
    """Read each port of the ten that answers, and speaks as a collector does."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    shown = f"[{host}]" if ":" in host else host
    for candidate in range(port, port + METRICS_PORTS):
        try:
            with opener.open(f"http://{shown}:{candidate}/metrics", timeout=_ANSWER_SECONDS) as answer:
                text = answer.read().decode()
            families = [*text_string_to_metric_families(text)]
        except (OSError, http.client.HTTPException, ValueError):  # another program's port, or nobody's
            continue
        yield {
            (sample.name, next(iter(sample.labels.values()), "")): sample.value
            for family in families
            for sample in family.samples
        }
