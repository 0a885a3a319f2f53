"""The load, the backend and the tables do what the page says of them."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from benchmarks import subjects
from benchmarks.load import BODY
from benchmarks.processes import until


def test_the_body_is_about_one_kibibyte() -> None:
    """So says the page."""
    assert 1000 <= len(BODY) <= 1060


@pytest.mark.parametrize("generator", ["own", "wrk"])
def test_the_backend_counts_what_the_load_sends(monkeypatch: pytest.MonkeyPatch, generator: str) -> None:
    """Our own generator waits for every answer; wrk leaves at most one a connection behind."""
    if generator == "wrk" and not subjects.WRK:
        pytest.skip("wrk is not installed")
    monkeypatch.setattr(subjects, "WRK", subjects.WRK if generator == "wrk" else "")
    with subjects.server("benchmarks.backend") as backend:
        load = subjects.loaded(backend, 1)
        count = subjects.asked(backend)["count"]
    assert load.answered > 100
    assert 0 <= count - load.answered <= (subjects.CONNECTIONS if generator == "wrk" else 0)
    assert 0 < load.p50 <= load.p99


def test_the_bare_proxy_reaches_the_backend() -> None:
    """The base of all ratios does what it is said to do."""
    with (
        subjects.server("benchmarks.backend") as backend,
        subjects.server("benchmarks.bare", "proxy", backend) as proxy,
    ):
        load = subjects.loaded(proxy, 1)
        assert subjects.asked(backend)["count"] >= load.answered > 0


def test_broken_xml_is_noticed_by_the_backend() -> None:
    """A fast gateway that delivers rubbish must not win."""
    with subjects.server("benchmarks.backend") as backend:
        for body in (b"<Appeal></Appeal>", b"<Appeal><Text>", json.dumps({}).encode()):
            urllib.request.urlopen(backend, data=body).close()
        assert subjects.asked(backend)["bad"] == 1


def test_a_refusing_partner_comes_back_and_goes_again() -> None:
    """Its port stays its own while nobody answers there."""
    with subjects.partner("refusing") as partner:
        with pytest.raises(OSError, match="refused"):
            subjects.asked(partner.address)
        partner.turn()
        until(lambda: answers(partner), "the partner to answer", 30)
        partner.turn()
        until(lambda: not answers(partner), "the partner to refuse", 30)


def answers(partner: subjects.Partner) -> bool:
    """Whether it takes a connection."""
    try:
        return bool(subjects.asked(partner.address)["count"] == 0)
    except OSError:
        return False


def test_a_hanging_partner_takes_and_never_answers() -> None:
    """The worst kind of dead."""
    with subjects.partner("hanging") as partner, pytest.raises(TimeoutError):
        urllib.request.urlopen(partner.address, data=BODY, timeout=0.3)


def test_the_backend_tells_how_late_a_message_came() -> None:
    """By the moment that its body names, once; all processes of a machine share the clock."""
    with subjects.server("benchmarks.backend") as backend:
        body = f"<Appeal><Sent>{time.monotonic() - 2}</Sent></Appeal>"
        urllib.request.urlopen(backend, data=body.encode()).close()
        (late,) = subjects.asked(backend)["late"]
        assert 2000 <= late < 3000
        assert subjects.asked(backend)["late"] == []


def test_a_body_of_many_pieces_is_one_message() -> None:
    """Ten megabytes do not come at once."""
    with subjects.server("benchmarks.backend") as backend:
        for _ in range(2):
            urllib.request.urlopen(backend, data=b"<Appeal>" + b"x" * (10 << 20) + b"</Appeal>").close()
        told = subjects.asked(backend)
        assert (told["count"], told["bad"]) == (2, 0)


@pytest.mark.parametrize("generator", ["own", "wrk"])
def test_messages_with_keys_have_keys_of_that_many(monkeypatch: pytest.MonkeyPatch, generator: str) -> None:
    """What a route orders by must be what the page says."""
    if generator == "wrk" and not subjects.WRK:
        pytest.skip("wrk is not installed")
    monkeypatch.setattr(subjects, "WRK", subjects.WRK if generator == "wrk" else "")
    with echo() as (address, keys):
        subjects.loaded(address, 1, keys=3)
    assert {int(key) for key in keys} in ({0, 1, 2}, {1, 2, 3})


@contextmanager
def echo() -> Iterator[tuple[str, list[str]]]:
    """A server that takes note of every `X-Key`."""
    keys: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            keys.append(self.headers["X-Key"])
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """In silence."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 128

        def handle_error(self, request: object, client_address: object) -> None:
            """A load that ends breaks off what is under way."""

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/", keys
        server.shutdown()
