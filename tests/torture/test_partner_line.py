"""Whatever the network does between the gateway and a partner: no answer is invented, and all arrives when it heals."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pipe.contract import Duration, Timeout
from pipe.errors import NoAnswer, PipeError, ReplyInvalid, Verdict
from pipe.testing import FaultProxy, faults
from tests.adapters.http_bench import client, outgoing
from tests.adapters.raw_server import RawServer, reply, says, serving
from tests.journeys.attacks import soon
from tests.torture.strait import a_strait, phone

UNREACHABLE, NO_ANSWER, INVALID = "PIPE-2001", "PIPE-2002", "PIPE-2011"
PATIENCE_S = 50
HALVES = {
    "late": (faults.Delay(3, towards="client"), {NO_ANSWER}),
    "trickle": (faults.Rate(20, towards="client"), {NO_ANSWER}),
    "lost": (faults.Swallow(), {NO_ANSWER}),
    "question_lost": (faults.Swallow(towards="server"), {NO_ANSWER}),
    "gone": (faults.HalfOpen(), {NO_ANSWER}),
    "cut_at_once": (faults.Cut(), {NO_ANSWER}),
    "cut_in_head": (faults.Cut(after=40), {NO_ANSWER}),
    "cut_in_body": (faults.Cut(after=230), {NO_ANSWER}),
    "broken_in_body": (faults.Reset(after=230), {NO_ANSWER}),
    "question_cut": (faults.Cut(after=300, towards="server"), {NO_ANSWER}),
    "question_broken": (faults.Reset(after=300, towards="server"), {NO_ANSWER}),
    "noise": (faults.Garbage(), {INVALID}),
    "noise_in_head": (faults.Garbage(after=30), {INVALID}),
    "hung_up": (faults.AcceptThenClose(), {NO_ANSWER}),
    "refused": (faults.Refuse(), {UNREACHABLE}),
}
"""the fault before each partner, and what its attempts must be called"""
TIMEOUT = Timeout(connect=Duration(5), read=Duration(5), total=Duration(5))


@pytest.mark.journey
@pytest.mark.timeout(120)
async def test_each_fault_is_named_holds_up_nobody_and_loses_nothing(tmp_path: Path) -> None:
    """Fifteen partners, each behind its own fault: the sixteenth is served meanwhile; healed, all get everything."""
    async with a_strait(tmp_path, [*HALVES, "well"]) as strait:
        for name, (fault, _) in HALVES.items():
            await strait.back[name].turn(fault)
        for place, name in enumerate(HALVES):
            await strait.callers[name].hand_in(phone(place), 0)
            await strait.callers[name].hand_in(phone(place + 100), 0)
        for n in range(20):
            await strait.callers["well"].hand_in(phone(200), n)
        await soon(lambda: strait.states("well") == ["delivered"] * 20, PATIENCE_S)
        await soon(lambda: all(strait.codes(name) for name in HALVES), PATIENCE_S)
        met = {name: strait.codes(name) for name in HALVES}
        trickled = strait.notes("trickle")
        early = [name for name in HALVES if "delivered" in strait.states(name)]
        for proxy in strait.back.values():
            await proxy.heal()
        await strait.delivered(*HALVES)
        wrong = await strait.wrong()
        rows = strait.rows
    assert met == {name: codes for name, (_, codes) in HALVES.items()}
    assert all("in full within 800ms" in note for note in trickled), trickled
    assert (early, wrong, rows) == ([], [], 20 + 2 * len(HALVES))


# --- every byte: the client against a raw partner

ANSWERS = {
    "length": reply(200, b'{"a": 1}', Content_Type="application/json"),
    "chunked": b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{"a"\r\n4\r\n: 1}\r\n0\r\n\r\n',
}
BODY = b'{"question": "' + b"x" * 40 + b'"}'


async def struck(fault: faults.Fault, answer: bytes) -> PipeError | None:
    """What one attempt brings through that fault; None is a receipt."""
    server = RawServer({"*": says(answer)})
    async with serving(server), FaultProxy(("127.0.0.1", server.port), fault) as proxy:
        through = RawServer(port=proxy.port)
        async with client(through) as made:
            try:
                await made.send(outgoing(BODY, timeout=TIMEOUT))
            except PipeError as error:
                return error
    return None


@pytest.mark.parametrize("fault", [faults.Cut, faults.Reset])
@pytest.mark.parametrize("framing", ANSWERS)
async def test_an_answer_that_breaks_off_anywhere_is_no_answer(framing: str, fault: type[faults.Cut]) -> None:
    """After every byte of it: never a success, never called refused, always uncertain; whole, it is a success."""
    answer = ANSWERS[framing]
    ends = [await struck(fault(after=after), answer) for after in range(len(answer))]
    assert {type(error) for error in ends} <= {NoAnswer, ReplyInvalid}
    assert {error.verdict for error in ends if error is not None} == {Verdict.UNCERTAIN}
    assert await struck(fault(after=len(answer)), answer) is None


@pytest.mark.parametrize("fault", [faults.Cut, faults.Reset])
async def test_a_question_that_breaks_off_anywhere_is_not_answered(fault: type[faults.Cut]) -> None:
    """After every seventh byte: the partner has less than a request, and nobody takes that for a delivery."""
    size = 300
    ends = [await struck(fault(after=after, towards="server"), ANSWERS["length"]) for after in range(0, 180, 7)]
    assert {type(error) for error in ends} == {NoAnswer}
    assert await struck(fault(after=size, towards="server"), ANSWERS["length"]) is None


@pytest.mark.parametrize("after", [0, 9, 17, 38])
async def test_garbage_is_never_taken_for_an_answer(after: int) -> None:
    """From the first byte or from within the head."""
    error = await struck(faults.Garbage(after=after), ANSWERS["length"])
    assert isinstance(error, (NoAnswer, ReplyInvalid))


async def test_a_large_question_to_a_partner_that_is_gone_ends_with_the_deadline() -> None:
    """Nobody reads it: 32 MiB do not fit into any buffer, and nobody waits for ever to get rid of them."""
    server = RawServer()
    quick = Timeout(connect=Duration(1), read=Duration(0.3), total=Duration(0.6))
    async with (
        serving(server),
        FaultProxy(("127.0.0.1", server.port), faults.HalfOpen()) as proxy,
        client(RawServer(port=proxy.port)) as made,
        asyncio.timeout(PATIENCE_S),
    ):
        with pytest.raises(NoAnswer):
            await made.send(outgoing(bytes(32 << 20), timeout=quick))
    assert server.requests == []


async def test_an_answer_that_breaks_off_in_its_head_is_told_in_words() -> None:
    """Not as a dump of what aiohttp had parsed so far: that holds the partner's headers."""
    error = await struck(faults.Cut(after=40), reply(200, b"x", Set_Cookie="session=secret; Path=/"))
    assert error is not None
    assert "RawResponseMessage" not in error.text
