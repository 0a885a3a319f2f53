"""`/ops/messages/ID`: what happened to a message, why it is where it is, and what a person can do about it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from pipe.errors import NotFound
from pipe.operations import dead_letters, editing, rehearsal, resolving, story, tracing
from pipe.operations import messages as contents
from pipe.operations.selection import Which
from pipe.redact import MASK, mask
from web.ops.asking import acted, only_done
from web.ops.differing import Line, around, counted, difference, text_of
from web.ops.hiding import BODY, said, sees_bodies
from web.ops.timeline import Fact, facts
from web.pages.call import Call
from web.pages.forms import Input, Invalid, Said
from web.pages.live import ends
from web.pages.permission import GATEWAY
from web.pages.results import Done
from web.pages.router import Area

AREA = Area("messages", whole=True)
READ = "message.read"
REPLAY, EDIT, DISCARD = "dead.replay", "dead.edit", "dead.discard"


class Delivery(BaseModel):
    """A message on its way to one target."""

    delivery: int = Field(description="Its number.")
    station: str = Field(description="The target.")
    state: str = Field(description="Its state.")
    place: str | None = Field(description="File and line of the target.")
    attempted: int = Field(description="How many attempts there were.")
    done_at: float | None = Field(description="When it ended.")
    deadline: float | None = Field(description="When it is too late.")
    kind: str | None = Field(description="The class of a dead letter.")
    code: str | None = Field(description="Code of the error.")
    why: str = Field(description="Why it is where it is.")
    next: str = Field(description="What happens next.")
    next_at: float | None = Field(description="When.")
    maybe_delivered: bool = Field(description="Whether it may have arrived all the same.")


class Offspring(BaseModel):
    """A message that came of this one."""

    id: str = Field(description="Its id.")
    route: str = Field(description="Its route.")
    states: list[str] = Field(description="States of its deliveries.")


class Lines(BaseModel):
    """A piece of the configuration."""

    file: str = Field(description="The file.")
    line: int = Field(description="The line that it is about.")
    lines: list[tuple[int, str]] = Field(description="Numbers and texts.")
    today: bool = Field(description="Whether the file is the same in the configuration in force.")


class Story(BaseModel):
    """A message's story."""

    after: int = Field(description="Number of the last event of the feed that is in it.")
    id: str = Field(description="Its id.")
    route: str = Field(description="Its route.")
    state: str = Field(description="Where it is, in a word.")
    sentence: str = Field(description="The whole of it in a sentence.")
    received_at: float = Field(description="When it was accepted.")
    caller: str | None = Field(description="Who handed it in.")
    source: str | None = Field(description="Through which connection it came.")
    size: int = Field(description="Bytes of its body.")
    content_type: str | None = Field(description="What it says it is.")
    body_kept: bool = Field(description="Whether its body is still kept.")
    revision: str = Field(description="The configuration it began on.")
    current: str = Field(description="The configuration in force.")
    place: str | None = Field(description="File and line of its route.")
    origin: str | None = Field(description="The message whose step emitted it.")
    parent: str | None = Field(description="The message it was split from.")
    facts: list[Fact] = Field(description="What happened, in order.")
    deliveries: list[Delivery] = Field(description="Its ways.")
    offspring: list[Offspring] = Field(description="What came of it.")
    offspring_more: int = Field(description="How many more came of it.")
    lines: Lines | None = Field(description="The lines of the configuration it is about.")

    @property
    def dead(self) -> list[Delivery]:
        """Those that a person may send again."""
        return [each for each in self.deliveries if each.state in ("dead", "expired")]

    @property
    def uncertain(self) -> list[Delivery]:
        """Those of which nobody knows whether they arrived."""
        return [each for each in self.deliveries if each.state == "uncertain"]

    @property
    def uncertain_stations(self) -> list[tuple[str, str]]:
        """The targets among which a person chooses."""
        return [(each.station, each.station) for each in self.uncertain]

    @property
    def waiting(self) -> list[Delivery]:
        """Those that are tried again later."""
        return [each for each in self.deliveries if each.state == "retry"]

    @property
    def worst(self) -> Delivery | None:
        """The one that a person looks for first."""
        order = ("dead", "uncertain", "expired", "retry", "held", "answering", "ready", "timer")
        rank = {state: at for at, state in enumerate(order)}
        return min(self.deliveries, key=lambda each: rank.get(each.state, len(order)), default=None)


class Step(BaseModel):
    """What a step made of the body."""

    step: str = Field(description="The step.")
    place: str | None = Field(description="File and line.")
    station: str | None = Field(description="The target whose own step it is.")
    before: str = Field(description="The body before it.")
    after: str = Field(description="The body after it.")
    stopped: str | None = Field(description="Why it went no further.")
    code: str | None = Field(description="Code of the error.")

    @property
    def lines(self) -> list[Line]:
        """The difference."""
        return difference(self.before, self.after) if not self.stopped else []

    @property
    def counted(self) -> tuple[int, int]:
        """How many lines went, and how many came."""
        return counted(self.lines)


class Reply(BaseModel):
    """What a partner answered."""

    station: str = Field(description="The target.")
    n: int = Field(description="Which attempt.")
    status: str | None = Field(description="With what.")
    content_type: str = Field(description="What it says it is.")
    body: str = Field(description="The answer, masked.")


class Content(BaseModel):
    """What a message holds, sensitive values masked."""

    story: Story = Field(description="The message.")
    original: str = Field(description="The body as it was accepted.")
    cut: bool = Field(description="Whether it is longer.")
    wire: str | None = Field(description="What came over the line, where that is something else.")
    headers: dict[str, str] = Field(description="Headers.")
    steps: list[Step] = Field(description="What each step made of it.")
    why: str = Field(description="Why there are no steps, where that is so.")
    replies: list[Reply] = Field(description="What partners answered.")


@AREA.page("/ops/messages/{id}", "ops/message.html", permission=READ, api="GET /messages/{id}")
async def one(call: Call) -> Story:
    """What happened to a message, and what happens next."""
    return await _story(call)


@AREA.page("/ops/messages/{id}/content", "ops/content.html", permission=BODY, api="GET /messages/{id}/content")
async def content(call: Call) -> Content:
    """What a message holds, what each step made of it, what partners answered; looking is noted."""
    call.require(READ, GATEWAY)
    found, host = await _story(call), call.host()
    told = await story.explain(host, call.params["id"])
    replies = [_reply(delivery["station"], each) for delivery in told["deliveries"] for each in delivery["attempts"]]
    kept = [reply for reply in replies if reply is not None]
    if not found.body_kept:
        return Content(story=found, original="", cut=False, wire=None, headers={}, steps=[], why="", replies=kept)
    shown, traced = await contents.show(host, found.id), await tracing.trace(host, found.id)
    steps = [
        Step(
            step=each["step"], place=each["place"], station=each["station"], before=text_of(each["before"]),
            after=text_of(each["after"]), stopped=each["stopped"], code=each["code"],
        )
        for each in traced["steps"]
    ]  # fmt: skip
    wire = shown.get("wire")
    return Content(
        story=found, original=text_of(shown), cut=bool(shown.get("body_cut")), wire=text_of(wire) if wire else None,
        headers={name: str(value) for name, value in shown["headers"].items()}, steps=steps,
        why=traced["why_uk" if call.words.language == "uk" else "why"], replies=kept,
    )  # fmt: skip


# --- acts ---------------------------------------------------------------------------------------------------------


class Replay(Input):
    """Sends what is dead again."""

    station: str | None = Field(default=None, max_length=300, description="Only this target.")
    reason: str = Field(default="", max_length=500, description="Why; it stands in the audit.")
    ignore_deadline: bool = Field(default=False, description="Also where its deadline has passed.")


class Why(Input):
    """An act that needs a reason."""

    station: str | None = Field(default=None, max_length=300, description="Only this target.")
    reason: Said = Field(max_length=500, description="Why; it stands in the audit.")


class Edited(Why):
    """The message with another body."""

    text: str = Field(min_length=1, max_length=1 << 20, description="The new body.")


class Decided(Why):
    """What became of what is uncertain, as a person found out."""

    decision: Literal["delivered", "retry", "dead"] = Field(
        description="`delivered`: it took effect. `retry`: send it again. `dead`: keep it as a dead letter."
    )


class Acted(BaseModel):
    """What was done."""

    done: int = Field(description="How many deliveries it was done to.")
    id: str = Field(default="", description="The message that goes on.")


class Rehearsed(BaseModel):
    """How far a dead letter would come today."""

    station: str = Field(description="The target.")
    passes: bool | None = Field(description="Whether it would; none: nobody can tell without asking a partner.")
    text: str = Field(description="How far it would come.")
    code: str | None = Field(description="Code of the error.")
    place: str | None = Field(description="File and line where it would stop.")
    changed: bool | None = Field(description="Whether something else would go out than then.")
    before: str = Field(description="What went out then; empty without the right to see bodies.")
    now: str = Field(description="What would go out now; empty without the right to see bodies.")

    @property
    def lines(self) -> list[Line]:
        """The difference."""
        return difference(self.before, self.now)


class Rehearsal(BaseModel):
    """How far the dead letters of a message would come today."""

    story: Story = Field(description="The message.")
    letters: list[Rehearsed] = Field(description="Each of them.")


@AREA.page(
    "/ops/messages/{id}/rehearsal", "ops/rehearsal.html", permission="dead.read", api="GET /messages/{id}/rehearsal"
)
async def rehearse(call: Call) -> Rehearsal:
    """What would happen if it were sent again now; no partner is called and nothing is kept."""
    call.require(READ, GATEWAY)
    found = await _story(call)
    if not found.dead:
        raise NotFound(f"{found.id} has no dead letter", message=found.id)
    told = await rehearsal.rehearse(call.host(), Which(deliveries=[each.delivery for each in found.dead]))
    sees = sees_bodies(call)
    return Rehearsal(story=found, letters=[rehearsed(each, sees=sees) for each in told["letters"]])


@AREA.action("/ops/messages/{id}/replay", permission=REPLAY, on=one, api="POST /messages/{id}/replay", result=Acted)
async def replay(call: Call, form: Replay) -> Done:
    """Sends its dead letters again through today's configuration."""
    which = await _dead(call, form.station)
    told = await acted(
        call, dead_letters.replay(call.host(), which, ignore_deadline=form.ignore_deadline, reason=form.reason)
    )
    done = only_done(call, told, "replayed")
    return Done(f"/ops/messages/{call.params['id']}", "ops.replayed", {"n": done}, Acted(done=done))


@AREA.action("/ops/messages/{id}/discard", permission=DISCARD, on=one, api="POST /messages/{id}/discard", result=Acted)
async def discard(call: Call, form: Why) -> Done:
    """Closes its dead letters for good: they will not be sent."""
    told = await acted(call, dead_letters.discard(call.host(), await _dead(call, form.station), form.reason))
    done = only_done(call, told, "discarded")
    return Done(f"/ops/messages/{call.params['id']}", "ops.discarded", {"n": done}, Acted(done=done))


class Editing(BaseModel):
    """What the form to edit a dead letter shows."""

    story: Story = Field(description="The message.")
    body: str = Field(description="The body as it was accepted, sensitive values masked.")
    masked: bool = Field(description="Whether something in it is masked, so that it has to be typed again.")

    @property
    def targets(self) -> list[tuple[str, str]]:
        """Among which a person chooses."""
        return [(each.station, each.station) for each in self.story.dead]


@AREA.page("/ops/messages/{id}/edit", "ops/edit.html", permission=EDIT, api="GET /messages/{id}/edit")
async def edit_form(call: Call) -> Editing:
    """The body of a dead letter, to be put right and sent; looking is noted."""
    call.require(BODY, GATEWAY)
    found = await _story(call)
    if not found.dead:
        raise NotFound(f"{found.id} has no dead letter", message=found.id)
    shown = await contents.show(call.host(), found.id)
    return Editing(story=found, body=text_of(shown), masked=bool(shown["masked"]))


@AREA.action("/ops/messages/{id}/edit", permission=EDIT, on=edit_form, api="POST /messages/{id}/edit", result=Acted)
async def edit(call: Call, form: Edited) -> Done:
    """Sends a dead letter again with another body; the original stays as it came."""
    call.require(BODY, GATEWAY)
    if MASK in form.text:
        raise Invalid("text", "ops.edit.still_masked", mask=MASK)
    told = await acted(
        call, editing.edit(call.host(), call.params["id"], form.reason, text=form.text, station=form.station or None)
    )
    return Done(f"/ops/messages/{told['id']}", "ops.edited", result=Acted(done=1, id=told["id"]))


@AREA.action(
    "/ops/messages/{id}/resolve", permission="dead.read", on=one, api="POST /messages/{id}/resolve", result=Acted
)
async def resolve(call: Call, form: Decided) -> Done:
    """Decides what the gateway cannot know: whether an uncertain delivery took effect."""
    call.require(REPLAY if form.decision == "retry" else DISCARD, GATEWAY)
    told = await acted(
        call, resolving.resolve(call.host(), call.params["id"], form.decision, form.reason, form.station or None)
    )
    return Done(f"/ops/messages/{call.params['id']}", "ops.resolved", result=Acted(done=told["resolved"]))


# --- parts --------------------------------------------------------------------------------------------------------


async def _dead(call: Call, station: str | None) -> Which:
    """The dead letters of the message itself, at one target or all. Raises NotFound."""
    told = await story.explain(call.host(), call.params["id"])
    numbers = [
        int(each["delivery"])
        for each in told["deliveries"]
        if each["state"] in ("dead", "expired") and station in (None, "", each["station"])
    ]
    if not numbers:
        raise NotFound(f"{told['id']} has no dead letter now", message=told["id"])
    return Which(deliveries=numbers)


async def _story(call: Call) -> Story:
    _, after = await call.read(ends)
    host = call.host()
    told = _hidden(await story.explain(host, call.params["id"]), sees=sees_bodies(call))
    configuration = host.configuration()
    deliveries = [
        Delivery(kind=each["class"], **{name: each[name] for name in Delivery.model_fields if name != "kind"})
        for each in told["deliveries"]
    ]
    names = Story.model_fields.keys() & told.keys() - {"deliveries", "offspring"}
    return Story(
        after=after, current=configuration.revision, facts=facts(told), deliveries=deliveries,
        offspring=[
            Offspring(id=each["id"], route=each["route"], states=[part["state"] for part in each["deliveries"]])
            for each in told["offspring"]
        ],
        lines=await _lines(call, told), **{name: told[name] for name in names},
    )  # fmt: skip


def _hidden(told: dict[str, Any], *, sees: bool) -> dict[str, Any]:
    """The story without what may quote bodies, for those who may not see them."""
    if sees:
        return told
    for delivery in told["deliveries"]:
        for attempt in delivery["attempts"]:
            attempt["text"] = said(attempt["code"], attempt["text"], sees=False)
        why = said(delivery["code"], delivery["why"], sees=False)
        if why != delivery["why"]:
            told["sentence"] = told["sentence"].replace(delivery["why"], str(delivery["code"]))
        delivery["why"] = why
    return told


async def _lines(call: Call, told: dict[str, Any]) -> Lines | None:
    """What stands in the configuration where it failed, else where its route begins; for those who may see routes."""
    if not call.may("route.read", GATEWAY):
        return None
    failed = [each["step_place"] or each["place"] for each in told["deliveries"] if each["state"] == "dead"]
    place = next((each for each in [*failed, told["place"]] if each), None)
    configuration = await call.host().revision(told["revision"])
    if place is None or configuration is None:
        return None
    file, _, line = place.rpartition(":")
    text = configuration.files.get(file)
    if text is None:
        return None
    lines = around(mask(text, ()), int(line))
    today = call.host().configuration().files.get(file) == text
    return Lines(file=file, line=int(line), lines=[(each.number, each.text) for each in lines], today=today)


def _reply(station: str, attempt: dict[str, Any]) -> Reply | None:
    reply = attempt["reply"]
    if not isinstance(reply, dict) or reply.get("body") in (None, ""):
        return None
    return Reply(
        station=station, n=attempt["n"], status=attempt["status"], content_type=str(reply.get("content_type") or ""),
        body=text_of(reply["body"]),
    )  # fmt: skip


def rehearsed(letter: dict[str, Any], *, sees: bool) -> Rehearsed:
    """How far one letter would come, with its bodies only for those who may see them."""
    return Rehearsed(
        station=letter["station"], passes=letter["passes"], code=letter["code"],
        text=said(letter["code"], letter["text"], sees=sees),
        place=letter["place"], changed=letter["changed"], before=text_of(letter["before"]) if sees else "",
        now=text_of(letter["after"]) if sees else "",
    )  # fmt: skip
