"""What a run's own state says of the conditions that it tells people about. Pure; all times are UTC seconds."""

from dataclasses import dataclass

from depth.alerts.conditions import Bad, Good, Seen
from depth.errors import DepthError, SpoolFull, TerminalError, Trouble
from depth.losses import Incident

LATE_SECONDS = 60
_LASTS_SECONDS = 60
_HIGH, _LOW = 0.8, 0.7  # of the spool's limit: from where it is told of, and where it is over


def stale(newest: int, interval: int, now: int, cause: str) -> Seen:
    """Say whether rows are being stored.

    Args:
        newest: epoch of the newest row.
        interval: seconds between epochs.
        now: time of the look.
        cause: why not, should it be late.

    Returns:
        Bad once the row after the newest is late by a minute.
    """
    due = newest + interval
    return Good(newest) if now - due < LATE_SECONDS else Bad(due, due, cause)


def store_failing(trouble: Trouble | None, shipped_at: int | None, now: int) -> Seen:
    """Say whether the store takes rows.

    Args:
        trouble: what keeps rows in the spool.
        shipped_at: when the store last took some.
        now: time of the look.

    Returns:
        Bad after a minute of failures that may pass; for the others see `refused`.
    """
    if trouble is None:
        return None if shipped_at is None else Good(shipped_at)
    lasts = now - trouble.since >= _LASTS_SECONDS
    return Bad(trouble.since, trouble.since, _said(trouble)) if lasts and not _is_final(trouble) else None


def refused(trouble: Trouble | None, shipped_at: int | None) -> Seen:
    """Say whether a person must act before rows are stored again; at once."""
    if trouble is None:
        return None if shipped_at is None else Good(shipped_at)
    return Bad(trouble.since, trouble.since, _said(trouble)) if _is_final(trouble) else None


def spool_high(used: float, now: int) -> Seen:
    """Say whether the spool fills up; `used` is a share of its limit."""
    if used >= _HIGH:
        return Bad(now, now, f"{used:.0%} of SPOOL_MAX_MB are in use")
    return Good(now) if used < _LOW else None


def spool_full(trouble: Trouble | None, now: int) -> Seen:
    """Say whether the spool takes rows: bad at once where it is full, after a minute where it fails otherwise."""
    if trouble is None:
        return Good(now)
    lasts = isinstance(trouble.error, SpoolFull) or now - trouble.since >= _LASTS_SECONDS
    return Bad(trouble.since, trouble.since, _said(trouble)) if lasts else None


@dataclass(slots=True)
class Audits:
    """What the audits of one symbol say.

    Attributes:
        interval: seconds between epochs.
    """

    interval: int
    _agreed: int = 0
    _agreed_at: int | None = None

    def seen(self, agreed: int, suspect: Incident | None, now: int) -> Seen:
        """Take a look.

        Args:
            agreed: audits that agreed so far.
            suspect: the newest rows that were not confirmed.
            now: time of the look.

        Returns:
            Good from the first audit that agrees after the book was replaced; nothing before the first audit.
        """
        if agreed > self._agreed:
            self._agreed, self._agreed_at = agreed, now
        if suspect is not None and (self._agreed_at is None or suspect.end > self._agreed_at):
            return Bad(suspect.start, suspect.end, f"{(suspect.end - suspect.start) // self.interval} rows")
        return None if self._agreed_at is None else Good(self._agreed_at)


def _is_final(trouble: Trouble) -> bool:
    return isinstance(trouble.error, TerminalError)


def _said(trouble: Trouble) -> str:
    return str(trouble.error) if isinstance(trouble.error, DepthError) else type(trouble.error).__name__
