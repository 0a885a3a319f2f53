"""The story of a message as facts in the order of time: one line, one fact. Words are the template's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, Field

GOOD = ("delivered", "consumed", "answered")
WAITS = ("ready", "retry", "held", "timer", "answering", "uncertain")


class Fact(BaseModel):
    """One fact."""

    at: float | None = Field(description="When, seconds since 1970; none: it is still to come.")
    kind: str = Field(description="Which kind of fact.")
    station: str = Field(default="", description="The target it is about.")
    n: int = Field(default=0, description="Which attempt.")
    ms: int | None = Field(default=None, description="How long it took, in milliseconds.")
    code: str | None = Field(default=None, description="Code of the error.")
    status: str | None = Field(default=None, description="What the partner answered with.")
    text: str = Field(default="", description="What the gateway says of it.")
    who: str = Field(default="", description="Who did it, where that was a person.")
    place: str | None = Field(default=None, description="File and line of the configuration.")
    next_at: float | None = Field(default=None, description="When something happens next.")
    about: dict[str, Any] = Field(default={}, description="Names that the words speak of.")
    delivery: int | None = Field(default=None, description="Number of the delivery.")


def facts(story: dict[str, Any]) -> list[Fact]:
    """What happened to a message and what happens next, the oldest first."""
    came = "item" if story["parent"] else "made" if story["origin"] else "came"
    about = {name: story[name] for name in ("source", "caller", "origin", "parent", "size", "content_type")}
    found = [
        Fact(at=story["received_at"], kind=came, place=story["place"], about=about),
        Fact(at=story["received_at"], kind="saved"),
    ]
    if story["steps"]:
        found.append(Fact(at=story["received_at"], kind="steps", about={"steps": story["steps"]}))
    later = [fact for delivery in story["deliveries"] for fact in _attempts(delivery)]
    later += [_by_hand(entry) for entry in story["audit"] if entry["event"] not in ("message.viewed", "dead.viewed")]
    found += sorted(later, key=lambda fact: fact.at or 0.0)
    found += [fact for delivery in story["deliveries"] for fact in _next(delivery)]
    return found


def _attempts(delivery: dict[str, Any]) -> Iterator[Fact]:
    for each in delivery["attempts"]:
        ended = "good" if each["outcome"] in GOOD else each["outcome"]
        yield Fact(
            at=each["at"], kind=f"attempt_{ended}", station=delivery["station"], n=each["n"], ms=each["ms"],
            code=each["code"], status=each["status"], text=each["text"] or "", place=delivery["place"],
            delivery=delivery["delivery"],
        )  # fmt: skip
    tried = delivery["attempts"] and delivery["attempts"][-1]["outcome"] == delivery["state"]
    if delivery["state"] in ("dead", "expired", "discarded") and not tried:
        yield Fact(
            at=delivery["done_at"], kind=f"ended_{delivery['state']}", station=delivery["station"],
            code=delivery["code"], text=delivery["why"], place=delivery["step_place"] or delivery["place"],
            delivery=delivery["delivery"],
        )  # fmt: skip


def _by_hand(entry: dict[str, Any]) -> Fact:
    after = entry["after"] if isinstance(entry["after"], dict) else {}
    return Fact(
        at=entry["at"], kind="hand", who=entry["actor"], text=str(after.get("reason") or ""),
        station=str(after.get("station") or ""), about={"event": entry["event"], "edited": after.get("edited")},
    )  # fmt: skip


def _next(delivery: dict[str, Any]) -> Iterator[Fact]:
    if delivery["state"] not in (*WAITS, "dead"):
        return
    kind = "decide" if delivery["state"] == "dead" else delivery["kind"]
    yield Fact(
        at=None, kind=f"next_{kind}", station=delivery["station"], text=delivery["why"], next_at=delivery["next_at"],
        code=delivery["about"].get("code") or delivery["code"], place=delivery["place"],
        about={"attempt": delivery["attempted"] + 1, **delivery["about"]}, delivery=delivery["delivery"],
    )  # fmt: skip
