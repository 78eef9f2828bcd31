"""What a run tells of epochs without a row: joined where they touch, taken back where they are proved after all."""

from depth.losses import Incident, Losses


def test_a_loss_grows_while_its_cause_lasts() -> None:
    """One incident under one start; another cause, or a row in between, begins another."""
    losses = Losses()
    losses.lose(10, 11, "silent")
    losses.lose(11, 15, "silent")
    losses.lose(15, 16, "crossed")
    losses.lose(18, 19, "crossed")
    assert losses.incidents == [Incident(10, 15, "silent"), Incident(15, 16, "crossed"), Incident(18, 19, "crossed")]


def test_a_loss_that_grew_is_told_again() -> None:
    """The caller has taken it already; it gets it again, with the same start."""
    losses = Losses()
    losses.lose(10, 11, "silent")
    losses.incidents = []
    losses.lose(11, 15, "silent")
    assert losses.incidents == [Incident(10, 15, "silent")]


def test_what_was_expected_is_replaced_or_emptied() -> None:
    """An empty incident of the same start undoes it."""
    losses = Losses()
    first, second = Incident(10, 20, "disconnect"), Incident(10, 30, "disconnect")
    losses.expect(first)
    losses.expect(second)
    assert first.end == first.start
    assert second == Incident(10, 30, "disconnect")
    losses.take_back()
    assert losses.incidents[-1] == Incident(10, 10, "disconnect")


def test_only_rows_since_the_last_good_audit_are_suspect() -> None:
    """Epochs without a row have none to suspect; before a chain has a row there is nothing."""
    losses = Losses()
    losses.suspect(20)
    assert losses.incidents == []
    losses.good(10)
    losses.lose(12, 14, "crossed")
    losses.incidents = []
    losses.suspect(20)
    assert losses.incidents == [Incident(10, 12, "suspect"), Incident(14, 20, "suspect")]


def test_back_in_time_a_loss_shrinks_and_rows_of_the_false_time_are_suspect() -> None:
    """The loss ends where the true time goes on; what the false time had stored after it cannot be trusted."""
    losses = Losses()
    losses.lose(10, 40, "silent")
    losses.incidents = []
    losses.rewind(12, 35, 45)
    assert losses.incidents == [Incident(10, 12, "silent"), Incident(40, 45, "suspect")]
