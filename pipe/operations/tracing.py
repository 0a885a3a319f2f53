"""What each step made of a message: its steps run again, on the configuration that it began on, and nobody is called.

Steps are pure functions of the message, so what comes out is what came out then; `enrich`, which asks a partner, stops.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipe import saying
from pipe.config.models import StepConfig
from pipe.config.walk import every_step
from pipe.contract import Message
from pipe.errors import ConnectionWaits, NotFound, PipeError
from pipe.operations.host import Host
from pipe.operations.messages import shown_of
from pipe.operations.rehearsal import Routes
from pipe.operations.selection import D, message_row
from pipe.redact import mask
from pipe.route import Route
from pipe.steps.pipeline import Pipeline, Run, StepStopped
from pipe.store.schema import delivery

LARGEST = 1 << 20
"""bytes; what is larger is not run again for a look"""


async def trace(host: Host, id: str) -> dict[str, Any]:
    """Each step with the body before and after it, sensitive values masked; `why` there are none, where that is so.

    Looking is written into the audit. Raises NotFound.
    """
    row = await message_row(host, id)
    if row["kind"] == "gone":
        raise NotFound(f"the body of {row['id']} is no longer kept", message=row["id"])
    await host.store.write(lambda tx: tx.audit("message.viewed", target=row["id"], actor=host.actor))
    if row["size"] > LARGEST:
        return _untraced(row["id"], "large")
    route = await Routes(host).then(row["revision"], row["route"])
    if route is None or row["stage"] >= len(route.stages):
        return _untraced(row["id"], "revision")
    message, values = host.store.loader.message(row), host.store.loader.sensitive(row)
    stations = await host.store.read(
        lambda c: list(c.execute(delivery.select().where(D.message == row["seq"]).order_by(D.id)).mappings())
    )
    steps = await _steps(route, row, message, [each["station"] for each in stations])
    return {"id": row["id"], "steps": [_told(step, row, values) for step in steps], "why": "", "why_uk": ""}


def _untraced(id: str, why: str) -> dict[str, Any]:
    uk, en = (saying.say(f"untraced.{why}", language) for language in saying.LANGUAGES)
    return {"id": id, "steps": [], "why": en, "why_uk": uk}


async def _steps(route: Route, row: Any, message: Message, stations: Sequence[str]) -> list[dict[str, Any]]:
    known = {step.path: step for step in every_step(route.config)}
    stage = route.stages[row["stage"]]
    run = Run(message, trail=[])
    found: list[dict[str, Any]] = []
    pipelines = [route.door, stage.pipeline] if stage.index == 0 else [stage.pipeline]
    if not await _followed(pipelines, run, known, None, found) or run.message is None:
        return found
    for station in stations:
        target = route.targets.get(station)
        if target is not None and not target.pipeline.empty:
            await _followed([target.pipeline], Run(run.message, trail=[]), known, station, found)
    return found


async def _followed(
    pipelines: Sequence[Pipeline],
    run: Run,
    known: Mapping[str, StepConfig],
    station: str | None,
    found: list[dict[str, Any]],
) -> bool:
    """Runs them and notes every step; whether all of them were done."""
    before = run.message.body if run.message is not None else None
    stopped: StepStopped | None = None
    try:
        for pipeline in pipelines:
            await pipeline.continue_(run)
    except StepStopped as stop:
        stopped = stop
    for path, after in run.trail or ():
        found.append(_step(known.get(path), path, station, before, after))
        before = after
    if stopped is not None:
        step = _step(stopped.step, stopped.step.path, station, stopped.body, None)
        unknown = isinstance(stopped.error, ConnectionWaits)
        found.append({**step, "stopped": "asks a partner" if unknown else stopped.error.text, "code": _code(stopped)})
    return stopped is None


def _code(stop: StepStopped) -> str | None:
    return stop.error.code if isinstance(stop.error, PipeError) else None


def _step(step: StepConfig | None, path: str, station: str | None, before: Any, after: Any) -> dict[str, Any]:
    return {
        "step": step.name if step is not None else path, "place": str(step.place) if step is not None else None,
        "path": path, "station": station, "before": before, "after": after, "stopped": None, "code": None,
    }  # fmt: skip


def _told(step: dict[str, Any], row: Any, values: Sequence[str]) -> dict[str, Any]:
    shown = {name: shown_of(step[name], row, values) for name in ("before", "after") if step[name] is not None}
    told: dict[str, Any] = mask({**step, "before": None, "after": None, **shown}, values)
    return told
