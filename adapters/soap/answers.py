"""What a SOAP caller is told: the operation's output, or a fault that says whose it is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from aiohttp import web
from loguru import logger
from lxml import etree

from adapters.soap.faults import code_of, fault_envelope
from adapters.soap.message import LARGE, build, weight
from adapters.soap.mime import excluded, packed
from adapters.soap.names import SOAP12, WSSE, Code, Version
from adapters.soap.replies import read_fault, read_reply
from adapters.soap.security import Wsse, secured
from adapters.soap.text import Wrong
from adapters.soap.xml import written
from pipe import blocking
from pipe.contract import Accepted, Clock, Receipt
from pipe.errors import NoCredentials, PipeError, ReplyInvalid, Unencodable

if TYPE_CHECKING:
    from adapters.soap.service import Operation, Service

PROBLEM = "urn:pipe:problem"
"""namespace of the detail that our own refusals carry"""


class Answers:
    """The answers to one request; what is learnt of it on the way makes them fit better."""

    def __init__(self, service: Service, pool: str, security: Wsse | None = None, clock: Clock | None = None) -> None:
        """`security` goes on what the operation answers, and on faults once it is clear who called.

        `pool` names the threads in which large answers are written, and all that is signed.
        """
        self._service, self._pool, self._security, self._clock = service, pool, security, clock
        self.version: Version = service.ports[0].version
        self.operation: Operation | None = None
        self.mtom = False
        """whether binaries leave the XML, as they came"""
        self.known = False
        """whether the caller has shown who they are, where they must: nobody else makes us sign, which takes time"""

    async def reply(self, accepted: Accepted) -> web.Response:
        """The route's answer in the operation's output. Raises ReplyInvalid where it does not fit the WSDL."""
        receipt = accepted.reply or Receipt()
        headers = {"X-Pipe-Message": accepted.id}
        if accepted.replayed:
            headers["Idempotent-Replayed"] = "true"
        try:
            if isinstance(receipt.status, int) and receipt.status >= 400:
                return await self._told_fault(receipt, headers)
            values = read_reply(receipt)
            apart = weight(values) > LARGE or self._security is not None
            body, kind = (
                await blocking.run(self._pool, self._output, values, apart) if apart else self._output(values, apart)
            )
        except (Unencodable, Wrong) as error:
            logger.error("A reply does not fit the WSDL: {}", error, action="soap", message=accepted.id)
            raise ReplyInvalid(f"the reply does not fit the WSDL: {error}", message=accepted.id) from error
        return web.Response(status=200, body=body, headers={**headers, "Content-Type": kind})

    def _output(self, values: Any, apart: bool) -> tuple[bytes, str]:
        assert self.operation is not None
        assert self.operation.output is not None
        validator = self._service.validator(apart=apart)
        built = build(self._service, self.version, self.operation.output, values, validator)
        self._secure(built.envelope)
        parts = excluded(built.binaries) if self.mtom else ()
        return packed(written(built.envelope), self.version, "", [*parts, *built.attachments], mtom=self.mtom)

    def _secure(self, envelope: Any) -> None:
        if self._security is not None and self._clock is not None:
            secured(envelope, self.version, self._security, self._clock.now())

    async def _told_fault(self, receipt: Receipt, headers: dict[str, str]) -> web.Response:
        """A failure that the route itself answers by its `faults:`."""
        fault = read_fault(receipt)
        envelope = fault_envelope(
            self.version, fault["code"], fault["text"], fault["detail"], operation=self.operation, service=self._service
        )
        if self._service.small.mistakes(envelope):
            raise Unencodable("the `detail` that `faults:` made does not fit the WSDL")
        return await self._fault(envelope, fault["code"], headers)

    async def refusal(self, error: PipeError) -> web.Response:
        """A failure of ours, with `X-Pipe-Error` and the code and hint in its detail."""
        title = (error.__doc__ or "").splitlines()[0]
        code = code_of(error)
        subcode = (WSSE, "FailedAuthentication") if error.facts.get("soap") == "FailedAuthentication" else None
        text = error.text if error.blame == "caller" else title
        envelope = fault_envelope(self.version, code, text, subcode=subcode, extra=_problem(error))
        headers = {"X-Pipe-Error": f"{error.blame}.{error.slug()}"}
        if error.retry_after is not None or error.status in {429, 503}:
            headers["Retry-After"] = str(max(1, math.ceil(error.retry_after or 1.0)))
        if isinstance(error, NoCredentials) and subcode is None:
            headers["WWW-Authenticate"] = str(error.facts.get("challenge", "Bearer"))
            return await self._fault(envelope, code, headers, status=401)
        if error.status == 405:
            headers["Allow"] = str(error.facts.get("allow", ""))
            return await self._fault(envelope, code, headers, status=405)
        return await self._fault(envelope, code, headers)

    async def _fault(
        self, envelope: Any, code: Code, headers: dict[str, str], status: int | None = None
    ) -> web.Response:
        """SOAP 1.1 knows one status for faults; 1.2 tells the sender's own apart."""
        if self.known and self._security is not None:
            try:
                await blocking.run(self._pool, self._secure, envelope)
            except PipeError as error:  # the caller is told all the same; one who checks will not believe it
                logger.error("A fault goes out unsigned: {}", error, action="soap")
        usual = 400 if self.version is SOAP12 and code == "Client" else 500
        kind = f"{self.version.media_type}; charset=utf-8"
        return web.Response(status=status or usual, body=written(envelope), headers={**headers, "Content-Type": kind})


def _problem(error: PipeError) -> Any:
    problem = etree.Element(f"{{{PROBLEM}}}problem", nsmap={None: PROBLEM})
    told = {"code": error.code, "error": error.slug(), "hint": error.hint, "id": error.facts.get("message")}
    for name, text in told.items():
        if text:
            etree.SubElement(problem, f"{{{PROBLEM}}}{name}").text = str(text)
    return problem
