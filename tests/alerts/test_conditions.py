"""What begins, lasts and is over, told twice."""

from collections.abc import Sequence
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depth.alerts import conditions
from depth.alerts.conditions import Bad, Condition, Episode, Event, Good, Seen, advance

BAD = Bad(100, 100, "why")


def test_nothing_seen_or_all_well_begins_nothing() -> None:
    assert advance(None, None, 10) is None
    assert advance(None, Good(10), 10) is None


def test_what_is_bad_begins_and_is_due() -> None:
    """Since when it is bad, and when that was noticed."""
    episode = advance(None, BAD, 160)
    assert episode == Episode(100, 160, "why")
    assert episode.due == "opened"


def test_while_it_lasts_nothing_changes() -> None:
    """Neither by looks that see the same, nor by those that see nothing, nor by what was good before it was noticed."""
    episode = Episode(100, 160, "why", told="opened")
    for seen in (BAD, Bad(101, 170, "other"), None, Good(159)):
        assert advance(episode, seen, 170) is episode
    assert episode.due is None


def test_what_is_good_ends_it_once_and_is_due_after_the_first_message() -> None:
    """However late that one gets through."""
    episode = advance(Episode(100, 160, "why"), Good(200), 205)
    assert episode is not None
    assert (episode.over, episode.due) == (200, "opened")
    assert advance(episode, Good(300), 305) is episode
    assert advance(episode, Bad(250, 250, "anew"), 305) is episode
    told = episode.sent("opened")
    assert told.due == "resolved"
    assert told.sent("resolved").due is None


def test_a_closed_one_begins_anew_by_what_came_later_alone() -> None:
    """Whoever still has the old view does not tell it again."""
    closed = Episode(100, 160, "why", over=200, told="resolved")
    assert advance(closed, BAD, 210) is closed
    assert advance(closed, Bad(200, 200, "why"), 210) is closed
    assert advance(closed, Good(300), 300) is closed
    assert advance(closed, Bad(201, 201, "anew"), 270) == Episode(201, 270, "anew")


@given(st.lists(st.tuples(st.sampled_from(["bad", "good", "none", "told"]), st.integers(0, 30)), max_size=60))
def test_every_episode_is_told_of_in_order_and_once(steps: Sequence[tuple[str, int]]) -> None:
    """Whatever is seen and whenever messages get through: opened, resolved, opened, …, later ones began later."""
    episode: Episode | None = None
    told: list[tuple[int, Event]] = []
    now = 0
    for step, wait in steps:
        now += wait
        looks: dict[str, Seen] = {"bad": Bad(now, now, ""), "good": Good(now)}
        seen = looks.get(step)
        episode = advance(episode, seen, now)
        if step == "told" and episode is not None and episode.due is not None:
            told.append((episode.began, episode.due))
            episode = episode.sent(episode.due)
    assert [event for _, event in told] == (["opened", "resolved"] * len(told))[: len(told)]
    begins = [began for began, event in told if event == "opened"]
    assert begins == sorted(set(begins))
    assert [began for began, event in told if event == "resolved"] == begins[: len(told) // 2]


@pytest.mark.parametrize("condition", get_args(Condition))
@pytest.mark.parametrize("event", get_args(Event))
def test_every_message_is_one_line_for_a_person(condition: Condition, event: Event) -> None:
    """No place is left open."""
    said = conditions.text(condition, event, Episode(1_768_054_365, 1_768_054_425, "the cause", 1_768_054_500))
    assert said
    assert not {"\n", "{", "}"} & set(said)
    assert "None" not in said


def test_a_message_says_when_and_why() -> None:
    episode = Episode(1_768_054_365, 1_768_054_425, "silent", 1_768_054_500)
    assert conditions.text("stale", "opened", episode) == "no row is stored since 2026-01-10T14:12:45Z (silent)"
    assert conditions.text("stale", "resolved", episode) == (
        "rows are stored again, the newest of 2026-01-10T14:15:00Z; there was none since 2026-01-10T14:12:45Z"
    )
