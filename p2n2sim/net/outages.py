"""Who has crashed, and who is missed for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from p2n2sim.errors import PartyLostError, Wait


@dataclass(frozen=True, slots=True)
class Outages:
    """The crashed parties of a network.

    Attributes:
        down: who -> when, in virtual seconds.
        back: who -> when it is there again; None for never.
        missed: the same, of those who had not done their part.
    """

    down: dict[str, float] = field(default_factory=dict)
    back: dict[str, float | None] = field(default_factory=dict)
    missed: dict[str, float | None] = field(default_factory=dict)

    def over(self, now: float) -> bool:
        """Whether nobody need wait any longer: somebody stays away, or all are back."""
        backs = self.missed.values()
        return None in backs or all(back is not None and back <= now for back in backs)

    def error(self, waits: Sequence[Wait]) -> PartyLostError:
        """What to tell of it; who stays away goes before who comes back.

        Who had done its part may be missed, too: for what it had sent and would have sent again.
        """
        missed = self.missed or self.back
        gone = [party for party, back in missed.items() if back is None]
        party = next(iter(gone or missed))
        backs = [back for back in missed.values() if back is not None]
        return PartyLostError(party, None, self.down[party], waits, None if gone else max(backs))
