"""`python -m benchmarks.soap_backend`: a SOAP partner that looks at nothing, answers every call the same, and counts.

It prints its port; `GET /` tells what `benchmarks.backend` tells.
"""

from __future__ import annotations

import asyncio
import sys
import time

import uvloop

from benchmarks.backend import Answerer, Partner

ENVELOPE = (
    b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
    b'<c:RecordActResponse xmlns:c="urn:example:civil"><c:number>7</c:number></c:RecordActResponse>'
    b"</s:Body></s:Envelope>"
)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml; charset=utf-8\r\nContent-Length: %d\r\n\r\n%b" % (
    len(ENVELOPE),
    ENVELOPE,
)


class SoapAnswerer(Answerer):
    """Answers in SOAP; what is no call is counted as bad."""

    def _answer(self, head: bytes, body: bytes) -> bytes:
        if head.startswith(b"GET"):
            return super()._answer(head, body)
        count = self._count
        count.count += 1
        count.last = time.monotonic()
        count.first = count.first or count.last
        count.bad += b"RecordAct>" not in body
        return ANSWER


async def run() -> None:
    """Serves until it is ended."""
    partner = Partner()
    await partner.answer(SoapAnswerer)
    sys.stdout.write(f"{partner.port}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(run())
