"""The reference pages about keys, connections, steps, functions, errors and commands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any

import typer
from pydantic import BaseModel

from pipe import trials
from pipe.config import hooks
from pipe.config.findings import CODES
from pipe.config.loader import IncludedKeys, TestKeys, TopKeys
from pipe.config.models import Confirm, Listener
from pipe.config.route_reader import GatherKeys, ReplyKeys, RouteKeys
from pipe.config.source_reader import (
    AlertKeys,
    ChannelKeys,
    ConnectionKeys,
    EventKeys,
    EveryKeys,
    OutcomeKeys,
    ScheduleKeys,
)
from pipe.config.step_reader import Branch, EnrichKeys, SplitKeys, TapKeys
from pipe.config.target_reader import TargetKeys
from pipe.contract import Adapter, ConnectionConfig, FlowStep, Transformer
from pipe.errors import every_error
from pipe.expression import ROOTS
from pipe.functions import FUNCTIONS
from pipe.reference.page import block, code, inner_blocks, page, table
from pipe.reference.shapes import plain, summary
from pipe.trials.model import EXPECTATIONS, Reply, Send

TOP: dict[str, type[BaseModel]] = {
    "The first file": TopKeys,
    "A file that another one includes": IncludedKeys,
    "listeners.NAME": Listener,
    "connections.NAME, whatever its type": ConnectionConfig,
    "routes.NAME": RouteKeys,
    "from: a connection": ConnectionKeys,
    "from: a schedule": ScheduleKeys,
    "from: an interval": EveryKeys,
    "from: outcomes": OutcomeKeys,
    "from: alerts": AlertKeys,
    "from: events": EventKeys,
    "from: a channel": ChannelKeys,
    "reply": ReplyKeys,
    "to": TargetKeys,
    "gather": GatherKeys,
    "on_uncertain: confirm": Confirm,
    "tests": TestKeys,
    "tests: send": Send,
    "tests: replies, for each connection one or a list": Reply,
}
ENGINE_STEPS: dict[str, tuple[str, type[BaseModel] | None]] = {
    "choose": ("Runs the steps of the first branch that fits; else those of `otherwise`, else none.", Branch),
    "split": ("", SplitKeys),
    "enrich": ("", EnrichKeys),
    "tap": ("", TapKeys),
    "flow": (
        "Calls a registered function. What it writes and emits commits together with its message being done.",
        None,
    ),
}


def keys_page() -> str:
    """Every key that does not belong to an adapter or step."""
    parts = [block(title, model) for title, model in TOP.items()]
    rows = [(code(form), meaning, need) for form, (meaning, need) in EXPECTATIONS.items()]
    parts += ["## tests: expect", summary(trials), table(("Entry", "Meaning", "Where it happens"), rows)]
    return page("Keys of the configuration", *parts, "## Blocks", *inner_blocks(TOP.values()))


def connection_page(name: str, adapter: type[Adapter], shown: Sequence[tuple[str, str]] = ()) -> str:
    """One type of connection; `shown` are the titles and links of pages where it is at work."""
    common = ConnectionConfig.model_fields
    parts = [summary(adapter), block("Connection", adapter.Config, without=common)]
    parts.append("Beside these it has the keys that [every connection](../keys.md) has.")
    subscription, target = hooks.subscription(adapter), hooks.target(adapter)
    models: list[type[BaseModel]] = [adapter.Config]
    if subscription is not None:
        parts.append(block("As a source: `from:`", subscription))
        models.append(subscription)
        if not getattr(adapter, "refusable", True):
            parts.append("Its peer cannot be told no: what the route refuses is kept as a dead letter.")
    if target is not None:
        parts.append(block("As a target: `to:`", target))
        models.append(target)
        takes = getattr(adapter, "takes", "bytes")
        parts.append(
            "It takes bytes: values become JSON unless a step encodes them."
            if takes == "bytes"
            else "It takes values, never bytes."
        )
        if hooks.is_caller(adapter):
            parts.append("Its answers can answer a synchronous route, and it can be asked by `enrich` and `confirm`.")
    inside = [part for part in inner_blocks(models) if part.partition("\n")[0].removeprefix("### ") not in _COMMON]
    if shown:
        links = "\n".join(f"- [{title}]({link})" for title, link in shown)
        parts += ["## At work", "Whole configurations with their tests:", links]
    written = page(name, *parts, *(["## Blocks", *inside] if inside else []))
    for common_block in _COMMON:
        written = written.replace(f"(#{common_block.lower()})", f"(../keys.md#{common_block.lower()})")
    return written


_COMMON = ("Timeout", "Reconnect", "Breaker", "KeyedRate")
"""blocks that every connection may have; they stand on the page of all keys"""


def steps_page(transformers: Mapping[str, type[Transformer]], flows: Mapping[str, FlowStep]) -> str:
    """All steps, those of the engine too, and the functions that `flow` may call."""
    parts = []
    for name, step in sorted(transformers.items()):
        told = f"{summary(step)}{' Runs in a thread.' if step.heavy else ''}"
        parts += [f"## {name}", told, block(step.Config.__name__, step.Config, 3), *inner_blocks([step.Config], 4)]
    for name, (told, model) in ENGINE_STEPS.items():
        parts += [f"## {name}", told, block(model.__name__, model, 3) if model is not None else ""]
    rows = [(code(name), summary(flow.function)) for name, flow in sorted(flows.items())]
    return page("Steps", *parts, "### Flows", table(("Name", "Meaning"), rows))


def functions_page() -> str:
    """What expressions may call and name."""
    rows = [
        (code(f.signature), f.meaning, code(f.example), code(plain(f.result))) for _, f in sorted(FUNCTIONS.items())
    ]
    return page(
        "Expressions",
        "An expression is JMESPath over the message. A template is text with expressions in `${…}`.",
        f"Names in scope: {', '.join(code(name) for name in ROOTS)}.",
        "A function that is given null gives null, unless it says otherwise.",
        table(("Function", "Meaning", "Example", "Gives"), rows),
    )


def errors_page() -> str:
    """Every error and every finding of lint."""
    rows = [
        (
            code(kind.code), kind.__name__, summary(kind).split("\n\n")[0], kind.verdict.value, kind.hint,
            str(kind.status), kind.blame,
        )
        for kind in sorted(every_error(), key=lambda kind: kind.code)
    ]  # fmt: skip
    return page(
        "Errors",
        "The verdict says what the gateway does with the delivery: `retry` later, `dead` letter, `uncertain` (it may "
        "have happened), `stop` (the connection is at fault and goes down; the message waits).",
        table(("Code", "Name", "Meaning", "Verdict", "What to do", "HTTP", "At fault"), rows),
        "## Findings of `pipe lint`",
        table(("Code", "Meaning"), [(code(name), meaning) for name, meaning in CODES.items()]),
    )


def commands_page(command: Any, name: str = "pipe") -> str:
    """The command line, as it describes itself; `command` is what typer makes of the app."""
    parts = ["Exit codes: 0 good, 1 found something wrong, 2 could not run."]
    parts += _commands(command, typer.Context(command, info_name=name), 2)
    return page("Commands", *parts)


def _commands(command: Any, context: typer.Context, level: int) -> Iterator[str]:
    if hasattr(command, "list_commands"):
        for name in sorted(command.list_commands(context)):
            child = command.get_command(context, name)
            if child is not None and not child.hidden:
                yield from _commands(
                    child,
                    typer.Context(child, info_name=name, parent=context),
                    min(level + (context.parent is not None), 4),
                )
        return
    yield f"{'#' * level} {context.command_path}"
    yield f"`{command.get_usage(context).removeprefix('Usage: ')}`"
    yield command.help or ""
    yield table(
        ("Option", "Default", "Environment", "Meaning"),
        [_option(option, context) for option in command.params if not _is_help(option)],
    )


def _option(option: Any, context: typer.Context) -> tuple[str, str, str, str]:
    is_option = option.param_type_name == "option"
    names = (*option.opts, *option.secondary_opts) if is_option else (str(option.name).upper(),)
    default = option.get_default(context)
    shown = "**required**" if option.required else "" if default in (None, False, ()) else code(_word(default))
    variable = code(option.envvar) if isinstance(option.envvar, str) else ""
    return ", ".join(code(name) for name in names), shown, variable, str(getattr(option, "help", "") or "")


def _word(value: Any) -> str:
    return str(value.value) if isinstance(value, Enum) else str(value)


def _is_help(option: Any) -> bool:
    return "--help" in option.opts
