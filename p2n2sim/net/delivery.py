"""How messages are delivered over links that can fail: what is asked of it, and how far it has come."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Messages are acknowledged, and sent again.

    A message is sent again when its acknowledgement is not there `timeout` after it could have been at the
    latest, should it take no longer than the message did; the next time after twice that, and so on.

    Attributes:
        timeout: in virtual seconds.
        attempts: how often a message is sent at most.
    """

    timeout: float = 1.0
    attempts: int = 6

    @property
    def patience(self) -> float:
        """Seconds after which a sender gives up, besides the time that its transmissions take."""
        return self.timeout * (2.0**self.attempts - 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How messages are delivered over links that can fail.

    Attributes:
        retry: whether messages are sent again, and how often.
        key: of all pairs' authentication codes; None for none.
        deadline: virtual seconds for which a message may be missing, or a party that stays away be missed,
            before the run ends with an error. Messages that are sent again have `Retry.patience` instead.
    """

    retry: Retry | None = None
    key: bytes | None = None
    deadline: float = 60.0


@dataclass(slots=True)
class Counts:
    """How many messages were sent so far; who goes on after an interruption goes on counting.

    Attributes:
        links: by sender and receiver.
        parties: by sender.
    """

    links: dict[tuple[str, str], int] = field(default_factory=dict)
    parties: dict[str, int] = field(default_factory=dict)
