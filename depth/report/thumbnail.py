"""The heat map as a small PNG, for places that show a picture and no page."""

import io

import numpy as np
from PIL import Image

from depth.report.day import Minutes, Numbers

_SIZE = 720, 240
# Dark to bright, as in the page; what is not known is grey.
_COLOURS = np.array([[13, 20, 48], [23, 70, 130], [31, 161, 135], [244, 222, 60], [255, 255, 245]], dtype=np.float64)
_NOT_KNOWN = np.array([96, 96, 104], dtype=np.uint8)


def png(minutes: Minutes) -> bytes:
    """Draw bids below and asks above the mid, time from left to right, colour by the logarithm of money."""
    money = np.concatenate([minutes.asks[::-1], minutes.bids])
    pixels = np.where(np.isnan(money)[..., None], _NOT_KNOWN, _coloured(_logarithms(money)))
    picture = Image.fromarray(pixels.astype(np.uint8)).resize(_SIZE, Image.Resampling.BOX)
    packed = io.BytesIO()
    picture.convert("P", palette=Image.Palette.ADAPTIVE, colors=128).save(packed, "PNG", optimize=True)
    return packed.getvalue()


def _logarithms(money: Numbers) -> Numbers:
    """Give 0 to 1 between the lowest and the highest per cent of what there is."""
    logs = np.log10(np.where(money > 0, money, np.nan))
    known = logs[~np.isnan(logs)]
    low, high = np.quantile(known, [0.01, 0.99]) if len(known) else (0.0, 1.0)
    shades: Numbers = np.clip(np.nan_to_num((logs - low) / max(high - low, 1e-9)), 0, 1)
    return shades


def _coloured(shades: Numbers) -> Numbers:
    places = np.linspace(0, 1, len(_COLOURS))
    return np.stack([np.interp(shades, places, _COLOURS[:, channel]) for channel in range(3)], axis=-1)
