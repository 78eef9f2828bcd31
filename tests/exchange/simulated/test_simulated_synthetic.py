"""The made-up market: its rates, its honesty, and that everybody sees the same."""

import json
import math
import random
import statistics
from itertools import islice, pairwise

import pytest

from depth.errors import UsageError
from depth.exchange.simulated import Book, Diff, SyntheticSource
from depth.exchange.simulated.listings import listing, split
from depth.exchange.simulated.source import Source, decimal_text
from depth.exchange.simulated.walk import Walk

START = 1_700_000_000_000
SLOTS = 5_000


def market(seed: int = 2, symbol: str = "BTC/USDT", start: int = START) -> Source:
    return SyntheticSource((symbol,), seed=seed, start=start).placed(start, 1.0)


def story(source: Source, count: int, name: str = "BTCUSDT") -> list[Diff]:
    return list(islice(source.diffs(name), count))


def levels_in_window(side: dict[int, int], best: int) -> int:
    return sum(abs(math.log(best / price)) < 0.0008 for price in side)


@pytest.fixture(scope="module")
def long_story() -> list[Diff]:
    return story(market(), SLOTS)


def test_changes_per_event_are_spread_as_on_binance(long_story: list[Diff]) -> None:
    """FACTS: median 22-24, p95 165-173, maximum 1,076."""
    changes = [len(diff.bids) + len(diff.asks) for diff in long_story]
    assert 21 <= statistics.median(changes) <= 25
    assert 145 <= statistics.quantiles(changes, n=20)[18] <= 195
    assert 700 <= max(changes) <= 1_090


def test_ten_slots_a_second_and_some_without_change(long_story: list[Diff]) -> None:
    steps = [late.time - early.time for early, late in pairwise(long_story)]
    assert set(steps) <= {100, 200, 300, 400}
    assert 0.001 < sum(step > 100 for step in steps) / SLOTS < 0.02


def test_ids_follow_without_a_hole_and_outnumber_the_changes(long_story: list[Diff]) -> None:
    for early, late in pairwise(long_story):
        assert late.first_id == early.last_id + 1
        assert late.last_id - late.first_id + 1 >= len(late.bids) + len(late.asks)


def test_a_tenth_of_the_changes_delete_what_nobody_saw(long_story: list[Diff]) -> None:
    """FACTS: 9 %."""
    book = market().opening("BTCUSDT")
    unseen = changes = 0
    for diff in long_story:
        for side, levels in ((book.bids, diff.bids), (book.asks, diff.asks)):
            changes += len(levels)
            unseen += sum(amount == 0 and price not in side for price, amount in levels)
        book.apply(diff)
    assert 0.07 < unseen / changes < 0.12


def test_the_book_has_the_shape_of_binances_and_never_crosses() -> None:
    """FACTS: 85-434 levels a side within 0.08 %, 5000 levels reach 0.93-2.5 %; whole book over 6,000 levels."""
    walk = Walk(random.Random("shape"), 90_538_46 * 10**6, 10**6, 10**3)  # noqa: S311 - a market, no secret
    for slot in range(SLOTS // 2):
        walk.step()
        best_bid, best_ask = walk.bids.keys[-1], -walk.asks.keys[-1]
        assert best_bid < best_ask
        if slot % 250 == 0:
            assert sorted(walk.bids.amounts) == walk.bids.keys
            assert 85 <= levels_in_window(walk.bids.amounts, best_bid) <= 450
            assert 85 <= levels_in_window(walk.asks.amounts, best_ask) <= 450
            assert min(len(walk.bids.keys), len(walk.asks.keys)) > 6_000
            assert 0.0093 < math.log(best_bid / walk.bids.keys[-5_000]) < 0.025
            assert 0.0093 < math.log(-walk.asks.keys[-5_000] / best_ask) < 0.025


def test_the_price_walks_and_now_and_then_runs(long_story: list[Diff]) -> None:
    book = market().opening("BTCUSDT")
    prices = []
    for slot, diff in enumerate(long_story):
        book.apply(diff)
        if slot % 20 == 0:
            prices.append(max(book.bids))
    moves = [abs(math.log(late / early)) * 1e4 for early, late in pairwise(prices)]
    assert 0.2 < statistics.median(moves) < 4
    assert 8 < max(moves) < 100


def test_events_on_the_wire_have_binances_keys_in_its_order(long_story: list[Diff]) -> None:
    event = json.loads(long_story[0].payload)
    assert list(event) == ["e", "E", "s", "U", "u", "b", "a"]
    assert event["b"] == [[decimal_text(price), decimal_text(amount)] for price, amount in long_story[0].bids]
    prices = [price for price, _ in long_story[0].asks]
    assert prices == sorted(prices)


def test_one_seed_and_start_tell_one_story() -> None:
    assert story(market(seed=3), 300) == story(market(seed=3), 300)
    assert story(market(seed=3), 5) != story(market(seed=4), 5)


def test_another_start_moves_times_and_ids_and_nothing_else() -> None:
    early, late = story(market(), 200), story(market(start=START + 60_000), 200)
    assert [(d.bids, d.asks, d.time + 60_000) for d in early] == [(d.bids, d.asks, d.time) for d in late]
    assert late[0].first_id > early[-1].last_id


def test_symbols_do_not_share_a_story() -> None:
    both = SyntheticSource(("BTC/USDT", "ETH/USDT"), start=START)
    assert [found.id for found in both.listings] == ["BTCUSDT", "ETHUSDT"]
    assert story(both, 50) == story(SyntheticSource(("BTC/USDT",), start=START), 50)
    assert story(both, 1, "ETHUSDT")[0].market == "ETHUSDT"


@pytest.mark.parametrize("symbol", ["SOL/USDT=150.25", "DOGE/USDT=0.15", "ETH/BTC=0.034"])
def test_any_pair_at_any_price_trades_uncrossed(symbol: str) -> None:
    source = market(symbol=symbol)
    name = source.listings[0].id
    book: Book = source.opening(name)
    for diff in story(source, 300, name):
        book.apply(diff)
        assert max(book.bids) < min(book.asks)
    assert min(book.bids) > 0
    assert all(price % source.listings[0].tick == 0 for price in book.bids)


@pytest.mark.parametrize("symbol", ["BTCUSDT", "btc/usdt", "BTC/USDT=x", "BTC/USDT=-1", "A/B/C", "/USDT"])
def test_a_symbol_written_in_another_way_is_refused(symbol: str) -> None:
    with pytest.raises(UsageError, match="BASE/QUOTE"):
        listing(symbol)


def test_a_price_with_too_few_steps_is_refused() -> None:
    with pytest.raises(UsageError, match="too few steps"):
        listing("PEPE/USDT=0.00001234")


def test_names_are_split_at_their_quote_currency() -> None:
    assert (split("BTCUSDT"), split("ETHBTC"), split("BTCFDUSD")) == ("BTC/USDT", "ETH/BTC", "BTC/FDUSD")
    with pytest.raises(UsageError, match="quote currency"):
        split("USDT")


def test_a_market_open_since_long_ago_begins_now() -> None:
    source = SyntheticSource(start=START, since=True).placed(START + 5_000, 60.0)
    assert (source.start_ms, source.begin_ms) == (START, START + 300_000)
    with pytest.raises(UsageError, match="start"):
        SyntheticSource(since=True)


def test_the_own_body_is_the_opening() -> None:
    body = json.loads(market().own_body("BTCUSDT"))
    assert (body["lastUpdateId"], len(body["bids"]), len(body["asks"])) == (START - 1, 5_000, 5_000)
