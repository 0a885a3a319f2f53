"""What the keys of `tests:` do, of the top level, and what `promise` refuses."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pipe.app import catalogue, read_configuration, tables
from pipe.config.lint import lint
from pipe.trials import Result, run_tests

KNOWN = catalogue()
HEAD = """\
version: 1
connections:
  a: {type: http_server, auth: none}
  b: {type: http_client, url: "http://127.0.0.1:1"}
routes:
  whole:
    from: {connection: a, path: /w}
    steps:
      - decode: text
      - map:
          body: body
          caller: message.caller
          company: company.name
          kind: message.content_type
          id: headers.x_id
          page: query.page
    to: {connection: b, post: /x, idempotent: true, success: "headers.state == 'ok' || status == `200`"}
  answered:
    from: {connection: a, path: /y, methods: [GET]}
    reply:
      mode: sync
      steps: [{map: {kind: message.content_type}}]
      faults: [{when: fault.detail, status: 409, map: {why: fault.detail}}]
    to: {connection: b, get: /y, success: "headers.state == 'ok'"}
tests:
"""


def results(folder: Path, tests: str) -> list[Result]:
    """What comes of these tests."""
    (folder / "c.yaml").write_text(HEAD + tests, encoding="utf-8")
    return asyncio.run(run_tests(read_configuration(folder / "c.yaml", KNOWN), KNOWN, tables()))


@pytest.mark.key("tests.send.base64", "tests.send.caller", "tests.send.company", "tests.send.content_type")
@pytest.mark.key("tests.send.headers", "tests.send.query", "tests.name")
def test_a_test_sends_what_a_source_would(tmp_path: Path) -> None:
    """Bytes, caller, company, content type, headers and query reach the steps; the test has its name."""
    (result,) = results(
        tmp_path,
        """
  - name: all of it
    route: whole
    send:
      base64: "aGk="
      caller: kyiv
      company: {name: Water}
      content_type: text/plain
      headers: {X-Id: 7}
      query: {page: 2}
    expect: [{connection: b, body: {body: hi, caller: kyiv, company: Water, kind: text/plain, id: "7", page: "2"}}]
""",
    )
    assert (result.name, [str(problem) for problem in result.problems]) == ("all of it", [])


@pytest.mark.key("tests.replies.headers", "tests.replies.fault", "tests.replies.content_type")
def test_a_stubbed_partner_answers_with_headers_and_faults(tmp_path: Path) -> None:
    """What `success:`, `faults:` and the steps of the reply see."""
    found = results(
        tmp_path,
        """
  - route: answered
    replies: {b: {headers: {state: ok}, body: hi, content_type: text/plain}}
    expect: [{connection: b}, {reply: {status: 200, body: {kind: text/plain}}}]
  - route: answered
    replies: {b: {headers: {state: bad}}}
    expect: [{connection: b}, {refused: PIPE-2013, status: 502}]
  - route: answered
    replies: {b: {fault: {detail: taken}}}
    expect: [{connection: b}, {reply: {status: 409, body: {why: taken}}}]
""",
    )
    assert [[str(problem) for problem in result.problems] for result in found] == [[], [], []]


@pytest.mark.key("routes.promise")
@pytest.mark.parametrize(("promise", "codes"), [("at-least-once", {"promise-too-strong"}), ("at-most-once", set())])
def test_a_route_may_not_promise_more_than_its_parts_keep(tmp_path: Path, promise: str, codes: set[str]) -> None:
    """A synchronous call is tried at most once: the caller hears of its end."""
    text = HEAD.replace("    reply:\n", f"    promise: {promise}\n    reply:\n")
    text = text.replace("get: /y", "post: /y").replace("methods: [GET]", "methods: [POST]")
    (tmp_path / "c.yaml").write_text(text.removesuffix("tests:\n"), encoding="utf-8")
    found = lint(read_configuration(tmp_path / "c.yaml", KNOWN), adapters=KNOWN.adapters)
    assert {finding.code for finding in found} & {"promise-too-strong"} == codes


@pytest.mark.key("include.version", "top.version")
def test_the_version_of_the_language_is_one_in_every_file(tmp_path: Path) -> None:
    """An included file may say it too."""
    more = "version: 1\nconnections: {a: {type: http_server, auth: none}}\n"
    (tmp_path / "more.yaml").write_text(more, encoding="utf-8")
    (tmp_path / "c.yaml").write_text("version: 1\ninclude: [more.yaml]\n", encoding="utf-8")
    assert list(read_configuration(tmp_path / "c.yaml", KNOWN).connections) == ["a"]
