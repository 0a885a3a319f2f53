"""The story of a message as a person reads it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from pipe.cli.text import duration, moment, plain, size

_GOOD = ("delivered", "consumed", "answered", "discarded")
_KEPT_OFF = ("message.viewed", "dead.viewed")


def story_words(found: dict[str, Any]) -> str:
    """A sentence, then everything in order."""
    lines = [found["sentence"][:1].upper() + found["sentence"][1:], ""]
    lines += _message(found)
    for story in found["offspring"]:
        lines += ["", f"{story['id']}"]
        lines += [f"  {line}" for line in _message(story)]
    if found["offspring_more"]:
        lines += ["", f"… and {found['offspring_more']} more: `pipe search --id {found['id']}`"]
    return "\n".join(plain(line) for line in lines)


def _message(story: dict[str, Any]) -> list[str]:
    kind = f", {story['content_type']}" if story["content_type"] else ""
    lines = [f"{moment(story['received_at'])}  {story['came']} ({size(story['size'])}{kind})"]
    where = f" ({story['place']})" if story["place"] else ""
    lines.append(f"          on route {story['route']}{where}, configuration {story['revision']}")
    if story["steps"]:
        lines.append(f"          steps: {_steps(story)}")
    if not story["body_kept"]:
        lines.append("          its body is no longer kept")
    for delivery in story["deliveries"]:
        lines += _delivery(delivery)
    done = [entry for entry in story["audit"] if entry["event"] not in _KEPT_OFF]
    lines += [
        f"  by hand  {moment(entry['at'])}  {entry['actor']}: {entry['event']}{_after(entry['after'])}"
        for entry in done
    ]
    return lines


def _steps(story: dict[str, Any]) -> str:
    """Names with their lines; the file only where it is another one than the route's."""
    file = (story["place"] or "").rpartition(":")[0]
    return " → ".join(f"{step['step']} ({_place(step['place'], file)})" for step in story["steps"])


def _place(place: str, file: str) -> str:
    return f"line {place.rpartition(':')[2]}" if place.rpartition(":")[0] == file else place


def _delivery(delivery: dict[str, Any]) -> Iterator[str]:
    where = f" ({delivery['place']})" if delivery["place"] else ""
    head = f"  {delivery['station']}{where}: {delivery['state'].upper()}"
    tries = delivery["attempts"]
    if delivery["state"] in _GOOD and (not tries or tries[0]["outcome"] == delivery["state"]):
        took = f" after {duration(tries[0]['ms'] / 1000)}" if tries and tries[0]["ms"] else ""
        yield f"{head} at {moment(delivery['done_at'])}{took}: {delivery['why']}"
        return
    yield head
    for attempt in tries:
        yield from _attempt(attempt)
    if delivery["step"]:
        yield f"    stopped at {delivery['step']} ({delivery['step_place']})"
    if not tries or tries[-1]["text"] != delivery["why"]:
        yield f"    why:  {delivery['why']}"
    if delivery["next"] != "nothing more":
        yield f"    next: {delivery['next']}{_when(delivery['next_at'])}"
    if delivery["deadline"] and delivery["done_at"] is None:
        yield f"    its deadline is {moment(delivery['deadline'])}"


def _attempt(attempt: dict[str, Any]) -> Iterator[str]:
    status = f" {attempt['status']}" if attempt["status"] else ""
    code = f" [{attempt['code']}]" if attempt["code"] else ""
    text = f": {attempt['text']}" if attempt["text"] else ""
    took = duration(attempt["ms"] / 1000)
    yield f"    {attempt['n']}. {moment(attempt['at'])}  {attempt['outcome']}{status} after {took}{code}{text}"
    reply = attempt["reply"]
    if isinstance(reply, dict) and reply.get("body"):
        said = reply["body"] if isinstance(reply["body"], str) else orjson.dumps(reply["body"]).decode()
        yield f"       the partner said: {said[:300]}"


def _when(at: float | None) -> str:
    return f", at {moment(at)}" if at is not None else ""


def _after(after: Any) -> str:
    if not isinstance(after, dict):
        return ""
    told = [f"{name} {value}" for name, value in after.items() if value not in (None, "", False) and name != "delivery"]
    return f" ({', '.join(told)})" if told else ""
