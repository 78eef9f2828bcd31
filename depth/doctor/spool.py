"""Is there room for what the store does not take: the spool file, and 24 hours of rows."""

import shutil
import time
from collections.abc import Sequence
from contextlib import closing

from depth.doctor.finding import Finding, fail, ok, warn
from depth.doctor.folder import existing, unwritable
from depth.errors import DepthError
from depth.plan import Plan
from depth.storage import sqlfile
from depth.storage.spool_state import read_state

_DAY_SECONDS = 86_400
# Measured: 1,190 bytes a row of 40 buckets a side, of which a bucket takes 18 on both sides together.
_ROW_BYTES = 480
_BUCKET_BYTES = 18
_MEGABYTE = 2**20
_BEHIND_SECONDS = 900


def check(plan: Plan) -> Sequence[Finding]:
    """Look at the spool of a plan, without taking a collector's lock; blocks."""
    return [_spool(plan), _space(plan)]


def _spool(plan: Plan) -> Finding:
    path = plan.spool_path
    if (why := unwritable(path)) is not None:
        return fail("spool", f"{why}, or name another file in SPOOL_PATH")
    if not path.exists():
        return ok("spool", f"the first run makes {path}")
    try:
        with closing(sqlfile.connect(path, create=False)) as db, sqlfile.translated(path), sqlfile.transaction(db):
            pass
        states = read_state(path)
    except DepthError as error:
        return fail("spool", str(error))
    newest = max((state.acknowledged_epoch or 0 for state in states), default=0)
    captured = max((state.captured_epoch or 0 for state in states), default=0)
    if captured - newest > _BEHIND_SECONDS and captured > time.time() - _DAY_SECONDS:
        return warn(
            "spool", f"rows of {captured - newest} s wait in {path}: see under `backend` why the store has none"
        )
    return ok("spool", f"{path} can be written")


def _space(plan: Plan) -> Finding:
    row = _ROW_BYTES + _BUCKET_BYTES * plan.grid.steps
    needed = _DAY_SECONDS // plan.grid.interval * row * len(plan.symbols)
    folder = existing(plan.spool_path)
    free = shutil.disk_usage(folder).free
    day = f"24 h of rows take {needed / _MEGABYTE:.0f} MB"
    if free < needed:
        return fail("space", f"{free / _MEGABYTE:.0f} MB are free in {folder}, {day}: free some, or move SPOOL_PATH")
    if plan.spool_limit_bytes < needed:
        limit = plan.spool_limit_bytes / _MEGABYTE
        return warn("space", f"the spool may take {limit:.0f} MB, {day}: raise SPOOL_MAX_MB")
    return ok("space", f"{free / _MEGABYTE:.0f} MB are free in {folder}, {day}")
