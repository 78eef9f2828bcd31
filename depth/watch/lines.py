"""One line a row: what a pipe, a file or a terminal without a cursor gets."""

from typing import TextIO

from depth import snapshot
from depth.watch.view import View, printable


class Lines:
    """Prints rows as they come; what is wrong goes to standard error, once."""

    def __init__(self, out: TextIO, err: TextIO) -> None:
        """Say where to print."""
        self._out = out
        self._err = err
        self._said: str | None = None

    def show(self, view: View, now: float) -> None:
        """Print what is new."""
        for row in view.rows:
            self._out.write(f"{printable(snapshot.line(row))} | last hour: {view.coverage.text()}\n")
        self._out.flush()
        note = view.note(now)
        if note is not None and note != self._said:
            self._err.write(f"{printable(note)}\n")
            self._err.flush()
        self._said = note
