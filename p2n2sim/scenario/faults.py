"""[[fault]] tables and how messages are delivered: what they may say; `failures` says what that means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal

from p2n2sim.errors import ScenarioError
from p2n2sim.scenario.section import Count, Rate, Section, Share
from p2n2sim.scenario.units import Duration, Quantity

Kind = Literal["crash", "slow", "drop", "duplicate", "reorder", "delay", "corrupt", "cut"]


class Fault(Section, frozen=True):
    """Something that goes wrong.

    Attributes:
        kind: what: ``crash``: a party stops; ``slow``: its processor is slower; ``drop``, ``duplicate``,
            ``reorder``, ``delay``, ``corrupt``: what happens to messages; ``cut``: links that carry nothing.
        party: who crashes or is slow.
        batch: a data holder crashes as it begins this batch, from 1.
        at: a party crashes at this virtual time.
        number: a party crashes instead of sending its message of this number, from 1.
        restart: so long after its crash the party is there again; unless given, never.
        factor: by which a slow party's work takes longer.
        links: ``"A-B"`` (both directions) or ``"A->B"``; unless given, all.
        group: parties that are cut off from all others.
        message: name of the message type that is hit; unless given, all.
        numbers: which messages of a link are hit, from 1; unless given, all.
        probability: with which a transmission is hit.
        attempts: how many transmissions of a message are hit at most; unless given, one of those in
            `numbers` and all otherwise.
        after: nothing happens before this virtual time.
        until: nor from this one on.
        by: how much later a message arrives.
        copies: how many further ones arrive.
        bits: how many are flipped.
        forged: whether the checksum is made to fit.
    """

    kind: Kind
    party: str | None = None
    batch: Count | None = None
    at: Duration | None = None
    number: Count | None = None
    restart: Duration | None = None
    factor: Rate | None = None
    links: tuple[str, ...] = ()
    group: tuple[str, ...] = ()
    message: str = ""
    numbers: tuple[Count, ...] = ()
    probability: Share = 1.0
    attempts: Count | None = None
    after: Duration | None = None
    until: Duration | None = None
    by: Duration | None = None
    copies: Count = 1
    bits: Count = 1
    forged: bool = False


_WHICH = ("links", "message", "numbers", "probability", "attempts", "after", "until")
_KEYS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "crash": ("party", "batch", "at", "number", "restart"),
        "slow": ("party", "factor", "after", "until"),
        "drop": _WHICH,
        "duplicate": (*_WHICH, "copies"),
        "reorder": (*_WHICH, "by"),
        "delay": (*_WHICH, "by"),
        "corrupt": (*_WHICH, "bits", "forged"),
        "cut": ("links", "group", "after", "until"),
    }
)
_NEEDED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"crash": ("party",), "slow": ("party", "factor"), "reorder": ("by",), "delay": ("by",)}
)
_EXAMPLES = {"party": '"B"', "factor": "2.0", "by": '"50 ms"'}


def check_faults(listed: Sequence[Fault], holders: Sequence[str], *, authenticated: bool) -> None:
    """Refuses faults that make no sense; the place is the dotted key.

    Raises:
        ScenarioError: the first that is found.
    """
    known = (*holders, "server", "dealer")
    defaults = Fault(kind="drop")
    for place, fault in enumerate(listed):
        allowed = _KEYS[fault.kind]
        for name in Fault.__struct_fields__:
            if name not in ("kind", *allowed) and getattr(fault, name) != getattr(defaults, name):
                raise ScenarioError(
                    f"fault.{place}.{name}",
                    f"it says nothing about {fault.kind!r}",
                    f"known: {', '.join(allowed)}",
                )
        for name in _NEEDED.get(fault.kind, ()):
            if getattr(fault, name) is None:
                raise ScenarioError(
                    f"fault.{place}.{name}", "this key is missing", f"add {name} = {_EXAMPLES[name]}"
                )
        _check_when(fault, place)
        _check_who(fault, place, holders, known)
        if fault.forged and not authenticated:
            raise ScenarioError(
                f"fault.{place}.forged",
                "a forged message would be taken for a genuine one, and the result would be wrong",
                "add network.authenticate = true",
            )


def _check_when(fault: Fault, place: int) -> None:
    if fault.kind == "crash":
        given = [name for name in ("batch", "at", "number") if getattr(fault, name) is not None]
        if not given:
            raise ScenarioError(
                f"fault.{place}.batch", "this key is missing", 'add batch = 3, at = "2 s" or number = 10'
            )
        if len(given) > 1:
            raise ScenarioError(
                f"fault.{place}.{given[1]}", f"{given[0]} is there, too", "keep one of the two"
            )
    if fault.after and fault.until and fault.until.value <= fault.after.value:
        raise ScenarioError(
            f"fault.{place}.until",
            f"{fault.until.text!r} is not after {fault.after.text!r}",
            "a later time would do",
        )
    if fault.kind == "cut" and bool(fault.links) == bool(fault.group):
        raise ScenarioError(f"fault.{place}.links", "a cut needs links or a group", "give one of the two")


def _check_who(fault: Fault, place: int, holders: Sequence[str], known: Sequence[str]) -> None:
    if fault.party is not None and fault.batch is not None and fault.party not in holders:
        raise ScenarioError(
            f"fault.{place}.party", f"{fault.party!r} is no data holder", f"name {_some(holders)}"
        )
    for name, parties in (("party", (fault.party,)), ("group", fault.group)):
        for party in parties:
            if party is not None and party not in known:
                raise ScenarioError(f"fault.{place}.{name}", f"{party!r} is no party", f"name {_some(known)}")
    for link in fault.links:
        ends = link.split("->") if "->" in link else link.split("-")
        if len(ends) != 2 or ends[0] == ends[1] or not all(end in known for end in ends):
            raise ScenarioError(
                f"fault.{place}.links", f"{link!r} names no pair of parties", 'write "A-B" or "A->B"'
            )


def _some(names: Sequence[str]) -> str:
    return f"one of {', '.join(names[:6])}{', ...' if len(names) > 6 else ''}"


def without_restarts(listed: Sequence[Fault]) -> bool:
    """Whether every crash, if there is one, is for good."""
    return all(fault.restart is None for fault in listed)


def hits_messages(listed: Sequence[Fault]) -> bool:
    """Whether a fault depends on a message, or does something to one, so that messages travel in frames."""
    return any(
        fault.kind not in ("crash", "slow") or (fault.kind == "crash" and fault.number is not None)
        for fault in listed
    )


def said(fault: Fault) -> dict[str, object]:
    """What a file has to say of a fault, as plain values: what is not so anyway."""
    told: dict[str, object] = {"kind": fault.kind}
    usual = Fault(kind=fault.kind)
    for name in Fault.__struct_fields__:
        value = getattr(fault, name)
        if value != getattr(usual, name):
            told[name] = value.text if isinstance(value, Quantity) else value
    return told
