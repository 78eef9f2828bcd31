"""Messages to send."""

from depth.alerts.base import Alert, News

ALERT = Alert(
    event="gap.opened",
    symbol="BTC/USDT",
    start=1_768_054_365,
    end=1_768_054_465,
    missing=100,
    cause="disconnect",
    environment="here/sqlite",
    dedup_key="here/sqlite/binance_btc_depth/1768054365/1768054500/opened",
    text="here/sqlite: BTC/USDT: 100 epochs are missing, a & b < c > d",
)

TABLE = "binance_btc_depth"
KEY = f"{TABLE}/1768054365/1768054500/opened"
NEWS = News("gap.opened", 1_768_054_365, 1_768_054_465, 100, "disconnect", "100 epochs are missing")
