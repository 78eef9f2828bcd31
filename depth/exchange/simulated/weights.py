"""Request weight as Binance counts it: by the minute, for everybody together."""

_DEPTH_WEIGHTS = ((100, 5), (500, 25), (1000, 50), (5000, 250))
_MINUTE = 60


def depth_weight(limit: int) -> int:
    """Return the weight of a depth request for so many levels."""
    return next((weight for levels, weight in _DEPTH_WEIGHTS if limit <= levels), _DEPTH_WEIGHTS[-1][1])


class WeightMeter:
    """Counts weight in windows of one minute that start on the minute."""

    def __init__(self, limit: int) -> None:
        """Begin with nothing used; `limit` is the weight of a minute."""
        self.limit = limit
        self.used = 0
        self._minute = -1

    def add(self, weight: int, now: float) -> bool:
        """Count a request at `now` (s); return whether it is still within the limit."""
        minute = int(now) // _MINUTE
        if minute != self._minute:
            self._minute, self.used = minute, 0
        self.used += weight
        return self.used <= self.limit

    @staticmethod
    def seconds_left(now: float) -> int:
        """Return the seconds until the next window, at least 1."""
        return _MINUTE - int(now) % _MINUTE
