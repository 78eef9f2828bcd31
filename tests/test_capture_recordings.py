"""Rows of real Binance traffic."""

import json
import math
from decimal import Decimal
from functools import cache
from typing import NamedTuple

import pytest

from depth.events import parse
from tests import oracle, recordings
from tests.capturing import SHAPE, Run, columns, stored


class TestRecordings:
    """Real Binance traffic."""

    class Float(NamedTuple):
        """One row's buckets by float sums."""

        bids: list[float]
        asks: list[float]

    @staticmethod
    @cache
    def replayed(name: str) -> Run:
        """Play a recording over one socket, each frame at its own time."""
        recordings.require()
        recording = recordings.load(name)
        run = Run()
        for number, frame in enumerate(recording.frames):
            run.now = number * 0.1
            run.capture.delivered("A", parse(frame), float(number), run.now)
            if number == 0:
                run.anchor(recording.snapshot)
        return run

    def test_golden_283_of_650_epochs_have_nulls_or_no_row(self) -> None:
        """The price fell through the lowest bid that the snapshot knew: 193 rows have a null, 90 epochs no row."""
        run = self.replayed(recordings.GOLDEN)
        nulls = [row for row in run.capture.rows if row.covered != (40, 40)]
        assert (len(nulls), len(run.lost), len(run.rows)) == (193, 90, 560)
        assert set(run.lost.values()) == {"unanchored"}
        assert sorted([*run.rows, *run.lost]) == [*range(1723161256, 1723161906)]
        assert all(row.covered[1] == 40 for row in run.capture.rows)

    @pytest.mark.parametrize(("update_id", "wrong"), [(50093478174, 61564.91), (50093480542, 61556.04)])
    def test_golden_no_row_has_a_best_bid_that_was_not_there(self, update_id: int, wrong: float) -> None:
        """The naive book has it at that update id; here neither the price nor a row of that id exists."""
        run = self.replayed(recordings.GOLDEN)
        assert wrong not in {row.best_bid for row in run.capture.rows}
        assert update_id not in {row.update_id for row in run.capture.rows}

    def test_golden_every_byte_is_the_oracles(self) -> None:
        """All 560 rows and the causes of the 90."""
        recordings.require()
        recording = recordings.load(recordings.GOLDEN)
        run = self.replayed(recordings.GOLDEN)
        truth = oracle.sample(recording.events, recording.snapshot, SHAPE)
        same = [name for name in columns(next(iter(truth.rows.values()))) if name != "timestamp"]
        assert {epoch: [row[name] for name in same] for epoch, row in run.rows.items()} == {
            epoch: [row[name] for name in same] for epoch, row in stored(truth).items()
        }
        assert run.lost == truth.absent

    def test_derived_165_of_514_rows_would_show_float_sums(self) -> None:
        """Summed as floats in the order of the levels and rounded to cents, a third of the rows is another."""
        recordings.require()
        recording = recordings.load(recordings.DERIVED)
        run = self.replayed(recordings.DERIVED)
        rows = {row.update_id: row for row in run.capture.rows}
        sides: dict[str, dict[float, float]] = {
            side: {float(price): float(amount) for price, amount in recording.snapshot[name]}
            for side, name in (("b", "bids"), ("a", "asks"))
        }
        shown: dict[int, bool] = {}
        for wire in recording.events:
            if wire["u"] <= recording.snapshot["lastUpdateId"]:
                continue
            for side, held in sides.items():
                for price, amount in wire[side]:
                    held.pop(float(price), None) if not float(amount) else held.update({float(price): float(amount)})
            if wire["u"] in rows:
                row = rows[wire["u"]]
                bids, asks = (
                    self.float_sums(sides["b"], row.best_bid),
                    self.float_sums(sides["a"], row.best_ask),
                )
                shown[row.update_id] = (tuple(bids), tuple(asks)) != (row.bid_buckets, row.ask_buckets)
        assert len(run.rows) == 514
        assert sum(shown[row.update_id] for row in run.capture.rows) == 165

    @staticmethod
    def float_sums(levels: dict[float, float], best: float) -> list[float]:
        """Sum as the original did."""
        sums = [0.0] * 40
        for price, amount in levels.items():
            if abs(price - best) < best / 1000:  # the window is 0.0008: spares thousands of logarithms
                bucket = int(abs(math.log(best) - math.log(price)) / 0.00002)
                if bucket < 40:
                    sums[bucket] += price * amount
        return [round(total, 2) for total in sums]

    def test_derived_the_quiet_stretch_is_filled(self) -> None:
        """2.1 s without an event: both seconds are rows of one update id, and all rows are full."""
        run = self.replayed(recordings.DERIVED)
        assert {run.rows[epoch]["update_id"] for epoch in (1680652801, 1680652802)} == {"2710249438582"}
        assert [*run.rows] == [*range(1680652701, 1680653215)]
        assert {row.covered for row in run.capture.rows} == {(40, 40)}

    def test_verified_an_audit_by_the_second_snapshot_agrees(self) -> None:
        """After u == 96688021190, whether it comes ahead of the stream or behind; no epoch is lost by the swap."""
        recordings.require()
        recording = recordings.load(recordings.VERIFIED)
        assert recording.verify_snapshot is not None
        plain = self.replayed(recordings.VERIFIED).rows
        assert len(plain) == 6
        for arrival in (30, 60, len(recording.frames)):
            run = Run()
            run.anchor(recording.snapshot)
            for number, frame in enumerate(recording.frames):
                run.capture.delivered("A", parse(frame), float(number), 0.0)
                if number == arrival:
                    run.anchor(recording.verify_snapshot, "hourly")
            if arrival == len(recording.frames):
                run.anchor(recording.verify_snapshot, "hourly")
            counts = run.capture.counts
            assert (counts.anchors, counts.audits, counts.audits_agreed) == (2, 1, 1)
            assert run.rows == plain

    def test_verified_a_wrong_level_in_the_second_snapshot_is_found(self) -> None:
        """One satoshi on one level of 1,974."""
        recordings.require()
        recording = recordings.load(recordings.VERIFIED)
        assert recording.verify_snapshot is not None
        wrong = json.loads(json.dumps(recording.verify_snapshot))
        wrong["bids"][500][1] = f"{Decimal(wrong['bids'][500][1]) + Decimal('0.00000001'):.8f}"
        run = Run()
        run.anchor(recording.snapshot)
        for number, frame in enumerate(recording.frames):
            run.capture.delivered("A", parse(frame), float(number), 0.0)
        run.anchor(wrong, "hourly")
        assert run.capture.counts.audits_agreed == 0
        assert run.wants == "audit"

    def test_small_no_row_is_full(self) -> None:
        """50 levels do not cover the window: six buckets a side are known, and the edge is near at once."""
        run = self.replayed(recordings.SHALLOW)
        assert [row.covered for row in run.capture.rows] == [(6, 6)]
        assert run.lost == {}
        run.now = 61.0
        assert run.wants == "edge"
