"""The story of a message as a person reads it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipe.cli.text import duration, moment, plain, size

_KEPT_OFF = ("message.viewed", "dead.viewed")


def story_words(found: dict[str, Any]) -> str:
    """A sentence, then everything in order."""
    lines = [found["sentence"][:1].upper() + found["sentence"][1:], ""]
    lines += _message(found)
    for story in found["offspring"]:
        lines += ["", f"{story['id']} was made from it, on route {story['route']}:"]
        lines += [f"  {line}" for line in _message(story)]
    if found["offspring_more"]:
        lines += ["", f"… and {found['offspring_more']} more: `pipe search --id {found['id']}`"]
    return "\n".join(plain(line) for line in lines)


def _message(story: dict[str, Any]) -> list[str]:
    kind = f", {story['content_type']}" if story["content_type"] else ""
    lines = [f"{moment(story['received_at'])}  came {story['came']} ({size(story['size'])}{kind})"]
    where = f", {story['place']}" if story["place"] else ""
    lines.append(f"          on route {story['route']}{where}, configuration {story['revision']}")
    if story["steps"]:
        lines.append(f"          steps: {' → '.join(_step(step) for step in story['steps'])}")
    if not story["body_kept"]:
        lines.append("          its body is no longer kept")
    for delivery in story["deliveries"]:
        lines += ["", *_delivery(delivery)]
    done = [entry for entry in story["audit"] if entry["event"] not in _KEPT_OFF]
    if done:
        lines += ["", "people"]
        lines += [f"  {moment(entry['at'])}  {entry['actor']}: {entry['event']}{_after(entry['after'])}" for entry in done]
    return lines


def _step(step: dict[str, Any]) -> str:
    return f"{step['step']} ({step['place']})"


def _delivery(delivery: dict[str, Any]) -> Iterator[str]:
    where = f" ({delivery['place']})" if delivery["place"] else ""
    yield f"{delivery['station']}{where}: {delivery['state'].upper()}"
    for attempt in delivery["attempts"]:
        yield from _attempt(attempt)
    if delivery["step"]:
        yield f"  stopped at {delivery['step']} ({delivery['step_place']})"
    if delivery["attempts"] and delivery["attempts"][-1]["text"] and delivery["why"].endswith(delivery["attempts"][-1]["text"]):
        if delivery["state"] not in ("dead", "delivered"):
            yield "  why:  the last attempt failed, see above"
    else:
        yield f"  why:  {delivery['why']}"
    if delivery["next"] != "nothing more":
        yield f"  next: {delivery['next']}{_when(delivery['next_at'])}"
    if delivery["deadline"] and delivery["done_at"] is None:
        yield f"  its deadline is {moment(delivery['deadline'])}"


def _attempt(attempt: dict[str, Any]) -> Iterator[str]:
    status = f" {attempt['status']}" if attempt["status"] else ""
    code = f" [{attempt['code']}]" if attempt["code"] else ""
    text = f": {attempt['text']}" if attempt["text"] else ""
    yield f"  {attempt['n']}. {moment(attempt['at'])}  {attempt['outcome']}{status} after {duration(attempt['ms'] / 1000)}{code}{text}"
    reply = attempt["reply"]
    if isinstance(reply, dict) and reply.get("body"):
        yield f"     the partner said: {str(reply['body'])[:300]}"


def _when(at: float | None) -> str:
    return f", at {moment(at)}" if at is not None else ""


def _after(after: Any) -> str:
    if not isinstance(after, dict):
        return ""
    told = [f"{name} {value}" for name, value in after.items() if value not in (None, "", False) and name != "delivery"]
    return f" ({', '.join(told)})" if told else ""
