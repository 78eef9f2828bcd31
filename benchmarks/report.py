"""The table on the terminal, the targets, and ``results.json``."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

Results = dict[str, Any]

_PARSE_RATIO = 3.0
_BLOCKED_MS = 15.0
_SAMPLE_US = 1000.0
_WIDTH = 120  # where there is no terminal
_CLIENTS = ("ccxt", "python_binance")
_NOTES = {
    "json_parse": "the parse alone, by ccxt's parser",
    "ours_parse_only": "depth.events.parse: checked, prices and amounts as numbers",
    "ours": "parse, Sequence.deliver, Book.apply",
    "ours_in_capture": "Capture.delivered: the same with all bookkeeping, no rows",
    "ours_with_two_sockets": "each event delivered by two sockets",
    "ours_full": "Capture.delivered with the row of every second",
    "dict_update": "no client: parse and dict.update of the texts",
    "python_binance": "its parser and DepthCacheManager._process_depth_message",
    "python_binance_recv": "same by _depth_event, as its recv() does",
    "ccxt": "its websocket client's handler, stock",
    "session": "ours, each second of the recording that the book can vouch for",
    "session_original": "the original's arithmetic on ccxt's book, same moments",
    "body_5000": "ours, book of a real 5,000-level body",
    "body_5000_first": "its first, which parts near from far levels",
    "body_5000_original": "the original's arithmetic on the same levels",
    "parse": "parse_anchor: text of the body to numbers, checked",
    "build": "Book",
    "replay": "the events of 20 s, parsed again and applied",
    "audit": "against the live book",
    "margin": "distance of the window to the edge",
    "blocked": "Capture.anchored: these four in one go",
}


@dataclass(frozen=True, slots=True)
class Target:
    """What a number is held against."""

    text: str
    met: bool


def targets(results: Results) -> list[Target]:
    """Hold the results against what the project promises."""
    updates, ratio = results["update_path_us"], results["ratios"]["ours"]
    slowest = max(results["snapshot_us"][name]["median"] for name in ("session", "body_5000"))
    found = [Target(f"an update costs {ratio:.2f} x the JSON parse (at most {_PARSE_RATIO:g})", ratio <= _PARSE_RATIO)]
    found += [
        Target(f"an update costs {updates[name] / updates['ours']:.2f} times as much in {name}", met)
        for name in _CLIENTS
        for met in [updates["ours"] < updates[name]]
    ]
    blocked = max(results["anchor_ms"][step] for step in ("parse", "blocked"))
    found.append(
        Target(f"a snapshot blocks the loop for {blocked:.1f} ms (at most {_BLOCKED_MS:.0f})", blocked <= _BLOCKED_MS)
    )
    found.append(Target(f"a sample costs {slowest:.0f} µs (at most {_SAMPLE_US:.0f})", slowest <= _SAMPLE_US))
    return found


def show(results: Results, held: list[Target]) -> None:
    """Print the table and the targets."""
    console, machine, recording = Console(highlight=False), results["machine"], results["recording"]
    if not console.is_terminal:
        console.width = _WIDTH
    table = Table(
        title=f"{recording['name']}: {recording['messages']:,} messages, {recording['changes_per_message']:.1f} level "
        f"changes each; {machine['cpu']}, {machine['cores']} cores, {machine['python']}; "
        f"median of {results['rounds']} rounds, CPU time"
    )
    for name in ("", "cost", "x parse", "p99"):
        table.add_column(name, justify="left" if not name else "right", no_wrap=True)
    table.add_column("what")
    for name, cost in sorted(results["update_path_us"].items(), key=lambda item: item[1]):
        style = "bold" if name == "ours" else None
        table.add_row(name, f"{cost:.1f} µs", f"{results['ratios'][name]:.2f}", "", _NOTES[name], style=style)
    table.add_section()
    for name, sample in results["snapshot_us"].items():
        table.add_row(f"sample {name}", f"{sample['median']:.0f} µs", "", f"{sample['p99']:.0f} µs", _NOTES[name])
    table.add_section()
    for name, cost in results["anchor_ms"].items():
        table.add_row(f"anchor {name}", f"{cost:.2f} ms", "", "", _NOTES[name])
    console.print(table)
    for target in held:
        console.print(f"{'PASS' if target.met else 'FAIL'}  {target.text}")


def write(results: Results, path: Path) -> None:
    """Write the results, numbers to three decimals."""
    path.write_text(json.dumps(_rounded(results), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return round(value, 3) if isinstance(value, float) else value
