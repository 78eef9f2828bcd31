"""The domain: Binance's order book, turned into provable seconds."""
