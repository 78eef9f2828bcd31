"""The exchange's list of markets: how they are named, their price steps, and the `exchangeInfo` body."""

import math
from collections.abc import Mapping, Sequence

from depth.errors import UsageError
from depth.exchange.simulated.source import SCALE, Listing, decimal_text, scaled

PRICES: Mapping[str, str] = {"BTC/USDT": "90538.46", "ETH/USDT": "3104.27"}
QUOTES = ("USDT", "USDC", "FDUSD", "TUSD", "DAI", "USD", "EUR", "BTC", "ETH", "BNB")
_OTHER_PRICE = "100"
_FEWEST_TICKS = 100_000


def listing(symbol: str) -> tuple[Listing, int]:
    """List one market by ``BASE/QUOTE`` or ``BASE/QUOTE=PRICE``, with steps that suit its price.

    Returns:
        The listing and its opening price, scaled by 1e8.

    Raises:
        UsageError: written in another way.
    """
    name, _, wanted = symbol.partition("=")
    base, _, quote = name.partition("/")
    remedy = "write BASE/QUOTE or BASE/QUOTE=PRICE, for example SOL/USDT=150.25"
    try:
        price = scaled(wanted or PRICES.get(name, _OTHER_PRICE))
    except ValueError as error:
        raise UsageError(f"{symbol} has no price ({error}): {remedy}") from error
    if not (base.isalnum() and quote.isalnum() and name == name.upper() and price > 0):
        raise UsageError(f"{symbol} is no market: {remedy}")
    magnitude = math.floor(math.log10(price / SCALE))
    tick_decimals = 2 if name in PRICES else min(8, max(0, 6 - magnitude))
    lot_decimals = min(8, max(0, magnitude + 1))
    tick = 10 ** (8 - tick_decimals)
    if price < _FEWEST_TICKS * tick:
        raise UsageError(f"{symbol}: the price has too few steps of 0.00000001: name one of 0.001 or more")
    return Listing(base, quote, tick, 10 ** (8 - lot_decimals)), price // tick * tick


def split(market: str) -> str:
    """Find the symbol of an exchange name: ``BTCUSDT`` is ``BTC/USDT``.

    Raises:
        UsageError: it ends with no quote currency that is known here.
    """
    for quote in QUOTES:
        if market.endswith(quote) and market != quote:
            return f"{market.removesuffix(quote)}/{quote}"
    raise UsageError(f"{market} ends with no known quote currency: one of {', '.join(QUOTES)}")


def exchange_info(
    listings: Sequence[Listing], halted: Sequence[str], server_time_ms: int, weight_limit: int
) -> dict[str, object]:
    """Describe the exchange as GET /api/v3/exchangeInfo does.

    Source: https://developers.binance.com/docs/binance-spot-api-docs/rest-api/general-endpoints#exchange-information

    Args:
        listings: the markets asked for.
        halted: names of markets that do not trade; their status is BREAK.
        server_time_ms: the exchange's clock.
        weight_limit: request weight a minute.
    """
    return {
        "timezone": "UTC",
        "serverTime": server_time_ms,
        "rateLimits": [
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": weight_limit},
            {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100},
            {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 200_000},
            {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 61_000},
        ],
        "exchangeFilters": [],
        "symbols": [_symbol(market, "BREAK" if market.id in halted else "TRADING") for market in listings],
    }


def _symbol(market: Listing, status: str) -> dict[str, object]:
    lot = decimal_text(market.lot)
    return {
        "symbol": market.id,
        "status": status,
        "baseAsset": market.base,
        "baseAssetPrecision": 8,
        "quoteAsset": market.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"],
        "icebergAllowed": True,
        "ocoAllowed": True,
        "otoAllowed": True,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": True,
        "cancelReplaceAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": True,
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": decimal_text(market.tick),
                "maxPrice": "1000000.00000000",
                "tickSize": decimal_text(market.tick),
            },
            {"filterType": "LOT_SIZE", "minQty": lot, "maxQty": "9000.00000000", "stepSize": lot},
            {"filterType": "ICEBERG_PARTS", "limit": 10},
            {
                "filterType": "MARKET_LOT_SIZE",
                "minQty": "0.00000000",
                "maxQty": "166.28718288",
                "stepSize": "0.00000000",
            },
            {
                "filterType": "PERCENT_PRICE_BY_SIDE",
                "bidMultiplierUp": "5",
                "bidMultiplierDown": "0.2",
                "askMultiplierUp": "5",
                "askMultiplierDown": "0.2",
                "avgPriceMins": 5,
            },
            {
                "filterType": "NOTIONAL",
                "minNotional": "5.00000000",
                "applyMinToMarket": True,
                "maxNotional": "9000000.00000000",
                "applyMaxToMarket": False,
                "avgPriceMins": 5,
            },
            {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
            {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 5},
        ],
        "permissions": [],
        "permissionSets": [["SPOT", "MARGIN"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"],
    }
