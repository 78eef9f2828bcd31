"""Who is told what goes wrong."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class AlertOptions:
    """Who is told, and who says it. The addresses are secrets.

    Attributes:
        environment: which installation speaks.
        installation: begins the dedup keys: the same for every process that shares a store.
        webhook_url: ALERT_WEBHOOK_URL.
        webhook_secret: ALERT_WEBHOOK_SECRET.
        chat_urls: ALERT_URLS.
        heartbeat_url: HEARTBEAT_URL.
    """

    environment: str = ""
    installation: str = ""
    webhook_url: str | None = field(default=None, repr=False)
    webhook_secret: str | None = field(default=None, repr=False)
    chat_urls: str | None = field(default=None, repr=False)
    heartbeat_url: str | None = field(default=None, repr=False)
