"""`pipe drift`: what of a partner's data is watched, what has changed, who reads it; and that it is right so."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pipe.cli.frame import CONFIG, DATA, Config, Data, Frame, Json, leave
from pipe.cli.messages import Reason
from pipe.cli.text import moment, table


class _ShownByDefault(TyperGroup):
    """`pipe drift NAME` is `pipe drift show NAME`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Puts `show` where no command is named."""
        named = bool(args) and (args[0] in self.commands or args[0] == "--help")
        return super().parse_args(ctx, args if named else ["show", *args])


app = typer.Typer(cls=_ShownByDefault, help="Whether what partners publish and send is still what it was.")


@app.command("show")
def show(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Only this connection.")] = None,
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """What is watched, when it was last looked at, what has changed, and which steps read that: `pipe drift NAME`.

    Exit code 1 where something has changed that may break a mapping.
    """
    frame = Frame(config, data, json)
    found = frame.ask("drift.list", name=name)
    frame.show(found[0] if name is not None else found, lambda _: _words(found, one=name is not None))
    leave(wrong=any(each["state"] == "changed" for each in found))


@app.command("accept")
def accept(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The connection.")],
    reason: Reason = "",
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """What it gives now is the known shape from here on. The mappings are yours to mend first; it is audited."""
    frame = Frame(config, data, json)
    frame.show(frame.ask("drift.accept", name=name, reason=reason), _accepted)


def _words(found: list[dict[str, Any]], *, one: bool) -> str:
    columns = ("connection", "what", "state", "looked at", "known", "seen", "changes")
    rows = [
        [each["connection"], item["name"], _state(item), moment(item["looked_at"]), item["known"] or "",
         item["seen"] or "", str(len(item["changes"]) or "")]
        for each in found
        for item in each["watched"]
    ]  # fmt: skip
    lines = [table(columns, rows) or ("Nothing of it is watched." if one else "Nothing is watched yet.")]
    for each in found:
        for item in each["watched"]:
            lines += [text for change in item["changes"] for text in _change(each["connection"], change)]
            if item["trouble"]:
                lines.append(
                    f"\n{each['connection']}: the {item['name']} at {item['where']} was not read: {item['trouble']}"
                )
    changed = [each["connection"] for each in found if each["state"] == "changed"]
    if changed:
        lines.append(f"\nIf it is right so, mend the steps, then: pipe drift accept {changed[0]} --reason 'WHY'")
    return "\n".join(lines)


def _state(item: dict[str, Any]) -> str:
    if item["changes"]:
        return "changed" if any(change["breaks"] for change in item["changes"]) else "more than known"
    if item["trouble"]:
        return "not read"
    if item["what"] == "sample" and item["known"] is None:
        return f"learning {item['learned']}/{item['learn']}"
    return "same" if item["looked_at"] else "not yet"


def _change(connection: str, change: dict[str, Any]) -> list[str]:
    lines = [f"\n{connection}: {change['text']}{'' if change['breaks'] else ' (breaks nothing)'}"]
    verb = "sent by" if any(use["makes"] for use in change["uses"]) else "read by"
    lines += [f"    {verb} {use['step']}  {use['place']}" for use in change["uses"]]
    return lines if change["uses"] else [*lines, "    no step reads it"]


def _accepted(told: dict[str, Any]) -> str:
    return "\n".join(f"{told['connection']}: {text}: this is the known shape now." for text in told["accepted"])
