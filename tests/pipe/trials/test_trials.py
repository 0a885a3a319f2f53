"""Promises of `pipe test`: the very pipelines run, partners are stubs, and differences are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipe.app import catalogue, read_configuration, tables
from pipe.trials import Result, run_tests

KNOWN = catalogue()
HEAD = """
version: 1
connections:
  a: {type: http_server, auth: none}
  b: {type: http_client, url: "http://127.0.0.1:1"}
  c: {type: http_client, url: "http://127.0.0.1:1"}
routes:
  orders:
    from: {connection: a, path: /x}
    steps: [{decode: json}, {map: {Order: {id: body.id, day: date}}}]
    to:
      - {connection: b, post: "/y/${body.Order.id}", idempotent_by: body.Order.id, success: body.ok}
      - {connection: c, put: /z, when: "body.Order.id > `5`", steps: [{encode: xml}]}
  persons:
    from: {connection: a, path: "/p/{id}", methods: [GET]}
    reply:
      mode: sync
      steps: [{map: {name: body.name}}]
      faults: [{when: "status == `404`", status: 404, map: {code: "'none'"}}]
    to: {connection: b, get: "/q/${params.id}"}
  payments:
    from: {connection: a, path: /s}
    steps:
      - decode: {csv: {delimiter: ";", charset: windows-1251}}
      - split: {items: body, steps: [{map: {ref: item.ref, to: item.name}}]}
    to: {connection: b, post: /pay, idempotent_by: body.ref}
    gather: {within: 6h, to: {connection: c, put: /out}}
  enriched:
    from: {connection: a, path: /e}
    steps: [{decode: json}, {enrich: {connection: b, get: /who, into: body.who}}]
    to: {connection: c, post: /e, idempotent: true}
  timed:
    from: {every: 1m}
    steps: [{map: {at: date}}]
    to: {connection: c, post: /t, idempotent: true}
tests:
"""

GOOD = {
    "several targets, in any order": """
  - route: orders
    send: {body: {id: 7}}
    expect:
      - {connection: c, put: /z, body: {Order: {id: "7"}}}
      - {connection: b, post: /y/7, key: "7", body: {Order: {id: 7}}}
""",
    "a target whose when is false gets nothing": """
  - route: orders
    send: {body: {id: 3}}
    expect: [{connection: b}]
""",
    "retries are one delivery, and pauses are jumped over": """
  - route: orders
    send: {body: {id: 3}}
    replies: {b: [{status: 503}, {error: no_answer}, {body: {ok: true}}]}
    expect: [{connection: b, attempts: 3}]
""",
    "an answer that success refuses is a dead letter": """
  - route: orders
    send: {body: {id: 3}}
    replies: {b: {body: {ok: false}}}
    expect: [{connection: b}, {outcome: dead, code: PIPE-2013, target: b}]
""",
    "a status means what it means in the adapter": """
  - route: orders
    send: {body: {id: 3}}
    replies: {b: {status: 400}}
    expect: [{connection: b}, {outcome: dead, code: PIPE-2006}]
""",
    "what the door refuses": """
  - route: orders
    send: {body: "{half"}
    expect: [{refused: PIPE-3001, status: 400}]
""",
    "the reply of a synchronous route": """
  - route: persons
    send: {params: {id: 5}}
    replies: {b: {body: {name: Олена}}}
    expect: [{connection: b, get: /q/5}, {reply: {status: 200, body: {name: Олена}}}]
""",
    "the fault of a synchronous route": """
  - route: persons
    send: {params: {id: 5}}
    replies: {b: {status: 404}}
    expect: [{connection: b}, {reply: {status: 404, body: {code: none}}}]
""",
    "a file in its charset, split and gathered": """
  - route: payments
    send: {body: [{ref: "1", name: "Їжак"}, {ref: "2", name: x}]}
    replies: {b: {body: {state: ok}}}
    expect:
      - {connection: b, body: {ref: "1", to: "Їжак"}}
      - {connection: b, body: {ref: "2"}}
      - {connection: c, body: [{outcome: delivered, reply: {state: ok}}, {item: {ref: "2"}}]}
""",
    "questions of enrich need no expectation": """
  - route: enriched
    send: {body: {id: 1}}
    replies: {b: {body: {name: x}}}
    expect: [{connection: c, body: {id: 1, who: {name: x}}}]
""",
    "a route with a schedule runs when its test says so": """
  - route: timed
    send: {}
    expect: [{connection: c, body: {at: "2026-01-15"}}]
""",
}


@pytest.fixture
def results(tmp_path: Path) -> Callable[[str], list[Result]]:
    """The results of a file with these tests."""

    def run(tests: str) -> list[Result]:
        file = tmp_path / "c.yaml"
        file.write_text(HEAD + tests, encoding="utf-8")
        return asyncio.run(run_tests(read_configuration(file, KNOWN), KNOWN, tables()))

    return run


@pytest.mark.key(
    "tests.route",
    "tests.send",
    "tests.expect",
    "tests.replies",
    "tests.send.body",
    "tests.send.params",
    "tests.replies.status",
    "tests.replies.body",
    "tests.replies.error",
)
@pytest.mark.parametrize("tests", GOOD.values(), ids=GOOD)
def test_what_happens_as_expected_passes(results: Callable[[str], list[Result]], tests: str) -> None:
    """Each form of `send`, `replies` and `expect` does what the reference says."""
    (result,) = results(tests)
    assert result.problems == []


def problem(results: Callable[[str], list[Result]], tests: str) -> Any:
    """The only problem of the only test."""
    (result,) = results(tests)
    (found,) = result.problems
    return found


def test_another_body_is_shown_as_a_difference(results: Callable[[str], list[Result]]) -> None:
    """The difference has what was expected and what came, line by line."""
    tests = "  - {route: orders, send: {body: {id: 3}}, expect: [{connection: b, body: {Order: {id: 4}}}]}"
    found = problem(results, tests)
    assert found.kind == "missing"
    assert {"-    id: 4", "+    id: 3"} <= set(found.difference.splitlines())


def test_a_delivery_that_nobody_expects_fails(results: Callable[[str], list[Result]]) -> None:
    """Too much is as wrong as too little."""
    found = problem(results, "  - {route: orders, send: {body: {id: 7}}, expect: [{connection: b}]}")
    assert (found.kind, "connection: c" in found.text) == ("unexpected", True)


def test_a_dead_letter_that_nobody_expects_fails(results: Callable[[str], list[Result]]) -> None:
    """A delivery that ends badly is no success, although the partner got it."""
    tests = "  - {route: orders, send: {body: {id: 3}}, replies: {b: {status: 400}}, expect: [{connection: b}]}"
    found = problem(results, tests)
    assert (found.kind, "PIPE-2006" in found.text) == ("unexpected", True)


def test_an_answer_that_decides_must_be_given(results: Callable[[str], list[Result]]) -> None:
    """A synchronous route cannot be tested without its partner's answer."""
    found = problem(results, "  - {route: persons, send: {params: {id: 5}}, expect: [{connection: b}]}")
    assert (found.kind, "replies: {b:" in found.text) == ("no-reply", True)


def test_a_misspelt_key_of_send_is_told(results: Callable[[str], list[Result]]) -> None:
    """Nothing in a test is silently ignored."""
    found = problem(results, "  - {route: orders, send: {bdy: {id: 3}}, expect: []}")
    assert (found.kind, "bdy" in found.text) == ("invalid", True)


def test_the_place_of_a_test_is_known(results: Callable[[str], list[Result]]) -> None:
    """A failure leads to the file and line."""
    (result,) = results("  - {route: orders, send: {body: {id: 3}}, expect: []}")
    assert f"c.yaml:{HEAD.count(chr(10)) + 1}" == str(result.place)


def test_one_test_leaves_nothing_for_the_next(results: Callable[[str], list[Result]]) -> None:
    """The same message twice is no repetition: each test has a store of its own."""
    one = GOOD["a target whose when is false gets nothing"]
    assert [result.passed for result in results(one + one)] == [True, True]


def test_only_one_route_can_be_chosen(tmp_path: Path) -> None:
    """`--route` leaves the other tests out."""
    file = tmp_path / "c.yaml"
    file.write_text(HEAD + "".join(GOOD.values()), encoding="utf-8")
    found = asyncio.run(run_tests(read_configuration(file, KNOWN), KNOWN, tables(), route="persons"))
    assert [result.route for result in found] == ["persons", "persons"]
