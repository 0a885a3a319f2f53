"""Which pages of operations are asked, and somebody who may open all of them."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from benchmarks.ops_world import COMMON, down, plain, well
from benchmarks.subjects import ROOT

LOGIN, PASSWORD = "bench@ukc.gov.ua", "зелений чайник на вікні"
READERS = "message-reader"
"""the role that sees what messages hold"""
_TOKEN = re.compile(r'name="_csrf" value="([0-9a-f]+)"')


@dataclass(slots=True)
class Reader:
    """A browser as far as it is needed: one connection, cookies, forms."""

    connection: HTTPConnection
    cookies: dict[str, str]

    @property
    def cookie(self) -> str:
        """What a browser sends with every request."""
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def get(self, path: str) -> str:
        """The page. Raises AssertionError where it is refused."""
        status, text = self._ask("GET", path)
        assert status == 200, f"{path} answered {status}: {text[:500]}"
        return text

    def timed(self, path: str) -> float:
        """Seconds until the whole page was there."""
        began = time.perf_counter()
        self.get(path)
        return time.perf_counter() - began

    def post(self, path: str, page: str, **values: str) -> None:
        """Sends a form of a page that was got before."""
        token = _TOKEN.search(page)
        assert token is not None, f"there is no form before {path}"
        status, text = self._ask("POST", path, urlencode({"_csrf": token[1], **values}))
        assert status == 303, f"{path} answered {status}: {text[-2000:]}"

    def _ask(self, method: str, path: str, form: str | None = None) -> tuple[int, str]:
        headers = {"Accept": "text/html", "Cookie": self.cookie}
        if form is not None:
            headers |= {"Content-Type": "application/x-www-form-urlencoded", "Origin": self._origin}
        self.connection.request(method, path, form, headers)
        answer = self.connection.getresponse()
        self._keep(answer)
        return answer.status, answer.read().decode()

    @property
    def _origin(self) -> str:
        return f"http://{self.connection.host}:{self.connection.port}"

    def _keep(self, answer: HTTPResponse) -> None:
        for said in answer.headers.get_all("Set-Cookie") or ():
            name, _, value = said.partition(";")[0].partition("=")
            self.cookies[name] = value


def signed_in(address: str, data: Path) -> Reader:
    """The first administrator, made with the password that the gateway left for whoever starts it."""
    host, _, port = address.removeprefix("http://").partition(":")
    reader = Reader(HTTPConnection(host, int(port), timeout=120), {})
    first = (data / "first-password").read_text(encoding="utf-8").strip()
    reader.post("/login", reader.get("/login"), login="admin", password=first)
    names = {"name": "Леся Кравець", "login": LOGIN, "password": PASSWORD, "repeated": PASSWORD}
    reader.post("/login/first", reader.get("/login/first"), **names)
    given = (READERS, f"person:{LOGIN}", "--reason", "benchmark", "--data", str(data))
    subprocess.run([sys.executable, "-m", "pipe", "access", "give", *given], cwd=ROOT, check=True, capture_output=True)
    return reader


def pages(seen: Mapping[str, str]) -> dict[str, str]:
    """Address of each kind of page, by what it is called in the table.

    `seen` are ids of messages by their route.
    """
    return {
        "overview": "/ops",
        "connections": "/ops/connections",
        "a connection that works": f"/ops/connections/{well(1)}",
        "one for which much waits": f"/ops/connections/{down(1)}",
        "the same, a month": f"/ops/connections/{down(1)}?period=month",
        "routes": "/ops/routes",
        "a route": f"/ops/routes/{plain(1)}",
        "one on which much waits": f"/ops/routes/{plain(5)}",
        "that route, a month": f"/ops/routes/{plain(5)}?period=month",
        "a message": f"/ops/messages/{seen['finished']}",
        "one that waits": f"/ops/messages/{seen['pending']}",
        "a dead one": f"/ops/messages/{seen['dead']}",
        "what it holds": f"/ops/messages/{seen['finished']}/content",
        "dead letters": "/ops/dead",
        "of a week": "/ops/dead?period=week",
        "of one class": "/ops/dead?kind=refused",
        "one by one": "/ops/dead/letters?route=mapping",
        "uncertain": "/ops/uncertain",
        "alerts": "/ops/alerts",
        "revisions": "/ops/revisions",
        "a revision": f"/ops/revisions/{seen['revision']}",
        "the gateway itself": "/ops/self",
        "exchanges": "/ops/exchanges",
    }


def searches(seen: Mapping[str, str]) -> dict[str, str]:
    """The same of searches, by each filter: such as find much, little, and nothing."""
    today, long_ago = datetime.now(UTC).date(), datetime.now(UTC) - timedelta(days=25)
    asked: dict[str, dict[str, Any]] = {
        "by route": {"route": plain(7)},
        "by a route of which nothing came": {"route": "full"},
        "by connection": {"connection": well(5)},
        "by source": {"connection": "partners"},
        "by outcome: ok": {"outcome": "ok"},
        "failed": {"outcome": "failed"},
        "pending": {"outcome": "pending"},
        "uncertain": {"outcome": "uncertain"},
        "expired, of one route": {"outcome": "expired", "route": plain(7)},
        "discarded (none)": {"outcome": "discarded"},
        "by code": {"code": seen["code"]},
        "by a code that nothing has": {"code": "E999"},
        "by id": {"id": seen["finished"]},
        "by order key": {"key": "4321"},
        "by an order key that nothing has": {"key": "nobody"},
        "by subject": {"subject": "+380000004321"},
        "by a subject that nothing has": {"subject": "+380"},
        "since today": {"first": today},
        "until 25 days ago": {"last": long_ago.date()},
        "until before all": {"until": 1_000_000},
        "one day, one route": {"route": plain(7), "first": long_ago.date(), "last": long_ago.date()},
        "by a word of all": {"q": COMMON},
        "by a word of few": {"q": "аварія"},
        "by a word of one": {"q": f"звернення{seen['number']}"},
        "by words side by side": {"q": '"будинку третій"'},
        "by a word of none": {"q": "бегемот"},
        "by a word of all, of one route": {"q": COMMON, "route": plain(7)},
        "by a word of all, dead": {"q": COMMON, "outcome": "failed"},
    }
    return {name: f"/ops/exchanges?{urlencode(filters, quote_via=quote)}" for name, filters in asked.items()}
