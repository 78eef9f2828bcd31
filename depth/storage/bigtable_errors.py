"""Bigtable's errors in our words: which pass by themselves, and what a person must do about the others."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from google.api_core.exceptions import GoogleAPIError, RetryError
from google.auth.exceptions import GoogleAuthError, TransportError
from google.cloud.bigtable.data.exceptions import FailedMutationEntryError, MutationsExceptionGroup

from depth.errors import StoreRefused, StoreUnavailable
from depth.tables import FAMILY

# https://grpc.io/docs/guides/status-codes/; a code that is not named here is tried again: the rows are still spooled.
_REMEDIES = {
    "NOT_FOUND": "check BIGTABLE_PROJECT_ID, BIGTABLE_INSTANCE_ID and BIGTABLE_APP_PROFILE_ID",
    "PERMISSION_DENIED": "grant this identity roles/bigtable.user on the instance",
    "UNAUTHENTICATED": "sign in with `gcloud auth application-default login` or set GOOGLE_APPLICATION_CREDENTIALS",
    "INVALID_ARGUMENT": "check BIGTABLE_PROJECT_ID, BIGTABLE_INSTANCE_ID and the table name",
    "FAILED_PRECONDITION": "name an app profile with single-cluster routing that allows single-row transactions "
    "in BIGTABLE_APP_PROFILE_ID",
}
_CREATABLE = {"NOT_FOUND", "PERMISSION_DENIED"}
# What the emulator says, with a code of INTERNAL or UNKNOWN, where the service says NOT_FOUND.
_EMULATOR_NO_FAMILY = "unknown family"


@dataclass(frozen=True, slots=True)
class Instance:
    """A Bigtable instance.

    Attributes:
        project: id of the Google Cloud project.
        instance: id of the instance.
    """

    project: str
    instance: str

    def creation(self, table: str) -> str:
        """Give the commands that create `table`, for a person who may; one line of a shell."""
        cbt = f"cbt -project={self.project} -instance={self.instance}"
        return f"{cbt} createtable {table} && {cbt} createfamily {table} {FAMILY}"


def status(error: BaseException) -> tuple[str, str]:
    """Find what the server said.

    The library wraps it: a bulk write in groups by row and attempt, a retried call in the DEADLINE_EXCEEDED of its
    own patience, which hides why every attempt failed.

    Args:
        error: as the library raised it.

    Returns:
        Name of the gRPC status code, for example ``UNAVAILABLE``, and the message on one line.
    """
    found = [(_code(leaf), " ".join(str(getattr(leaf, "message", leaf)).split())) for leaf in _leaves(error)]
    telling = [said for said in found if said[0] != "DEADLINE_EXCEEDED"]
    code, message = (telling or found)[-1]
    if code in {"INTERNAL", "UNKNOWN"} and _EMULATOR_NO_FAMILY in message:
        code = "NOT_FOUND"
    return code, message


def translate(error: BaseException, place: Instance, table: str | None) -> StoreUnavailable | StoreRefused:
    """Say in one line what failed and who must do what.

    Args:
        error: as the library raised it.
        place: the instance that was asked.
        table: the table that was asked; None for the instance itself.

    Returns:
        The error to raise.
    """
    code, message = status(error)
    where = f"Bigtable {place.project}/{place.instance}" + (f", table {table}" if table else "")
    said = f"{where}: {code}: {message}"
    if code not in _REMEDIES:
        return StoreUnavailable(f"{said}: it is tried again; check the network and the service if it stays", code)
    remedy = _REMEDIES[code]
    if table and code in _CREATABLE:
        remedy = f"{remedy}; if the table is missing, create it: {place.creation(table)}"
    return StoreRefused(f"{said}: {remedy}", code)


@contextmanager
def translated(place: Instance, table: str | None = None) -> Iterator[None]:
    """Turn the library's errors into ours."""
    try:
        yield
    except (GoogleAPIError, GoogleAuthError, MutationsExceptionGroup) as error:
        raise translate(error, place, table) from error


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    elif isinstance(error.__cause__, BaseExceptionGroup) or (
        isinstance(error, FailedMutationEntryError | RetryError) and error.__cause__ is not None
    ):
        yield from _leaves(error.__cause__)
    else:
        yield error


def _code(error: BaseException) -> str:
    if isinstance(error, TransportError):  # the server that hands out tokens cannot be reached
        return "UNAVAILABLE"
    if isinstance(error, GoogleAuthError):
        return "UNAUTHENTICATED"
    code = getattr(error, "grpc_status_code", None)
    return code.name if code is not None else "UNKNOWN"
