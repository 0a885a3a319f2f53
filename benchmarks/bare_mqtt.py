"""`python -m benchmarks.bare_mqtt PORT COUNT CLIENT`: paho alone, taking what a session has kept.

It connects when a line comes, decodes and acknowledges COUNT messages, and prints seconds and processor seconds as
JSON. Nothing is stored, nothing is handed on.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import orjson
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

KEPT_S = 3600
WINDOW = 512
"""messages that may be under way without an acknowledgement, as in the gateway's configuration"""


def client(name: str, port: int, *, keep: bool = True) -> Client:
    """A client of 5.0 that is connected; with `keep` its session outlives it."""
    made = Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTProtocolVersion.MQTTv5)
    made.max_inflight_messages_set(WINDOW)
    properties: Any = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = KEPT_S if keep else 0
    properties.ReceiveMaximum = WINDOW
    made.connect("127.0.0.1", port, clean_start=not keep, properties=properties)
    return made


def main() -> None:
    """Waits for the word, then takes COUNT messages."""
    port, count, name = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    taken = 0

    def take(ours: Client, _: Any, message: Any) -> None:
        nonlocal taken
        orjson.loads(message.payload)
        taken += 1
        if taken == count:
            ours.disconnect()

    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    began, cpu = time.perf_counter(), time.process_time()
    ours = client(name, port)
    ours.on_message = take
    ours.loop_forever()
    print(json.dumps({"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}), flush=True)


if __name__ == "__main__":
    main()
