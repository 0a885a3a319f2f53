"""MQTT in: messages that wait in a session at the broker, taken by the gateway and by paho alone."""

from __future__ import annotations

import asyncio
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from benchmarks.bare_mqtt import WINDOW, client
from benchmarks.load import BODY
from benchmarks.optional import Missing
from benchmarks.options import Options
from benchmarks.processes import cpu_seconds, until
from benchmarks.report import circumstances, table
from benchmarks.resampled import ratio
from benchmarks.subjects import ROOT, Gateway, folder, process, ready_gateway
from pipe import control

A_SECOND = 4_000
"""messages that a round has for each of its seconds"""
BARE, OURS = "paho alone, nothing stored", "PIPE, each message on disk before its PUBACK"
CONFIG = """version: 1
connections:
  broker: {{type: mqtt, url: "mqtt://127.0.0.1:{port}", client_id: gateway, receive: {window}}}
  nowhere: {{type: file_folder, path: nowhere}}
routes:
  readings:
    from: {{connection: broker, topic: "bench/gateway"}}
    queue: {{messages: 1000000, bytes: 10GiB}}
    steps: [{{decode: json}}, {{filter: "`false`"}}]
    to: {{connection: nowhere, put: x}}
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """One subject in one round."""

    rate: float
    """messages a second, until the last acknowledgement"""
    cpu: float
    """microseconds of processor for a message, until nothing is left to do with it"""


def adapters_mqtt(options: Options) -> str:
    """Both in every round, one after the other; every other round the other way round."""
    count = max(200, round(options.seconds * A_SECOND))
    rounds: dict[str, list[Taken]] = {BARE: [], OURS: []}
    with folder() as base, broker(base) as port:
        _listen(port, "bare", "bench/bare")
        (base / "nowhere").mkdir()
        config = base / "connections.yaml"
        config.write_text(CONFIG.format(port=port, window=WINDOW), encoding="utf-8")
        with ready_gateway(config, base / "data") as pipe:
            until(lambda: _accepts(pipe, port), "the gateway's subscription")
            subjects: list[tuple[str, Callable[[], Taken]]] = [
                (BARE, lambda: _bare(port, count)),
                (OURS, lambda: _gateway(pipe, port, count)),
            ]
            for number in range(options.rounds):
                for name, measure in subjects if number % 2 == 0 else subjects[::-1]:
                    rounds[name].append(measure())
                    print(f"round {number + 1} of {options.rounds}: {name}: {rounds[name][-1].rate:,.0f}/s", flush=True)
    how = circumstances(
        f"{options.rounds} rounds of {count:,} messages of 1 KiB with qos 1, which wait in a persistent session at "
        f"mosquitto when the clock starts; both may have {WINDOW} unacknowledged and decode the JSON. Broker and "
        "subject share the cores: read the ratios."
    )
    return f"{how}\n\n{_table(rounds)}"


def _table(rounds: dict[str, list[Taken]]) -> str:
    rows = []
    for name, taken in rounds.items():
        rates = [each.rate for each in taken]
        pairs = [(one.rate, other.rate) for one, other in zip(taken, rounds[BARE], strict=True)]
        against = "" if name == BARE else str(ratio(pairs))
        middle = f"{statistics.median(one / other for one, other in pairs):.2f}"
        cpu = f"{statistics.median(each.cpu for each in taken):.0f}"
        rows.append((name, f"{min(rates):,.0f}–{max(rates):,.0f}", cpu, middle, against))
    heads = ("subject", "per second (min–max)", "µs of processor a message", "÷ paho: median", "mean (95 % interval)")
    return table(heads, rows)


@contextmanager
def broker(base: Path) -> Iterator[int]:
    """A mosquitto that keeps whatever comes; its port. Raises Missing."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if program is None:
        raise Missing("mosquitto is not installed: apt install mosquitto")
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = int(sock.getsockname()[1])
    config = base / "mosquitto.conf"
    lines = (
        f"listener {port} 127.0.0.1", "allow_anonymous true", "max_queued_messages 0", "max_inflight_messages 0",
        "persistence false", "set_tcp_nodelay true", "log_type error",
    )  # fmt: skip
    config.write_text("\n".join([*lines, ""]), encoding="utf-8")
    with process(program, "-c", config, log=base / "mosquitto.log"):
        until(lambda: _takes(port), "mosquitto")
        yield port


def _takes(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def _listen(port: int, name: str, topic: str) -> None:
    """Makes a session that keeps what comes to the topic."""
    ours, done = client(name, port), threading.Event()
    ours.on_subscribe = lambda *_: done.set()
    ours.loop_start()
    ours.subscribe(topic, qos=1)
    assert done.wait(20), "mosquitto did not confirm the subscription"
    ours.disconnect()
    ours.loop_stop()


def _publish(port: int, topic: str, count: int) -> None:
    """Returns once the broker has taken them all."""
    ours = client("load", port, keep=False)
    ours.loop_start()
    last = [ours.publish(topic, BODY, qos=1) for _ in range(count)][-1]
    last.wait_for_publish(120)
    assert last.is_published(), "mosquitto did not take the load"
    ours.disconnect()
    ours.loop_stop()


def _accepts(pipe: Gateway, port: int) -> bool:
    before = _accepted(pipe)
    _publish(port, "bench/gateway", 1)
    time.sleep(0.2)
    return _accepted(pipe) > before


def _accepted(pipe: Gateway) -> int:
    """Number of the last message that the gateway has taken in."""
    return _told(pipe, "SELECT coalesce(max(seq), 0) FROM message")


def _told(pipe: Gateway, question: str) -> int:
    """Asks its database beside it: metrics, asked for so often, would be a good part of its work."""
    with closing(sqlite3.connect(f"file:{pipe.data / 'pipe.db'}?mode=ro", uri=True)) as reader:
        (number,) = reader.execute(question).fetchone()
    return int(number)


def _bare(port: int, count: int) -> Taken:
    _publish(port, "bench/bare", count)
    command = (sys.executable, "-m", "benchmarks.bare_mqtt", str(port), str(count), "bare")
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdin is not None
        assert started.stdout is not None
        started.stdout.readline()
        started.stdin.write("go\n")
        started.stdin.flush()
        told = orjson.loads(started.stdout.readline())
    return Taken(count / told["seconds"], told["cpu"] / count * 1e6)


def _gateway(pipe: Gateway, port: int, count: int) -> Taken:
    _say(pipe, "pause")
    before = _accepted(pipe)
    _publish(port, "bench/gateway", count)
    cpu, began = cpu_seconds(pipe.pid), time.perf_counter()
    _say(pipe, "resume")
    until(lambda: _accepted(pipe) - before >= count, "the last message", within=300)
    seconds = time.perf_counter() - began
    pending = "SELECT count(*) FROM delivery WHERE done_at IS NULL"
    until(lambda: _told(pipe, pending) == 0, "the end of the work", within=300)
    return Taken(count / seconds, (cpu_seconds(pipe.pid) - cpu) / count * 1e6)


def _say(pipe: Gateway, verb: str) -> None:
    asyncio.run(control.call(pipe.data, verb, {"name": "broker", "reason": "a benchmark"}))
