"""paho's client, on a socket of our own making, with what it leaves out: it reads and acknowledges many at once."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MessageType, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from adapters.mqtt.config import MqttConfig

AT_ONCE = 64 << 10
"""bytes that are read by one call; paho asks for each packet in three, and waits for the interpreter after each"""


class Wire(Client):
    """One connection's worth of paho: it never connects again by itself, and acknowledges only what it is told to."""

    def __init__(self, config: MqttConfig, client_id: str, sock: socket.socket, *, keep: float, will: bool) -> None:
        """`keep` is how long the broker keeps the session, in seconds."""
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=None if config.five else not keep,
            protocol=MQTTProtocolVersion.MQTTv5 if config.five else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        self._made = sock
        self._read, self._at = b"", 0
        """bytes that came, and how far paho has got with them"""
        self.gone: Callable[[str], None] = _nobody
        """called by the thread as its last act, with what was wrong with what the broker sent, if anything"""
        self.max_inflight_messages = config.concurrency
        if config.username is not None:
            self.username_pw_set(config.username, config.password.reveal() if config.password else None)
        if config.will is not None and will:
            self.will_set(config.will.topic, config.will.body, config.will.qos, config.will.retain)
        properties = None
        if config.five:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = min(int(keep), 0xFFFFFFFE)
            properties.ReceiveMaximum = config.receive
        host, port = config.place
        clean = {"clean_start": not keep} if config.five else {}
        self.connect_async(host, port, int(config.keepalive), properties=properties, **clean)  # type: ignore[arg-type]

    def _thread_main(self) -> None:
        problem = ""
        try:
            self.loop_forever()
        except Exception as error:  # boundary: whatever paho raises over a packet that it cannot read
            problem = f"it sent something that is not MQTT ({type(error).__name__}: {error})"
        finally:
            self._sock_close()
            self._thread = None
            self.gone(problem)

    def _create_socket(self) -> socket.socket:
        return self._made

    def _sock_recv(self, bufsize: int) -> bytes:
        if self._at == len(self._read):
            self._read, self._at = super()._sock_recv(max(bufsize, AT_ONCE)), 0
        part = self._read[self._at : self._at + bufsize]
        self._at += len(part)
        return part

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """Reads until nothing is left of what came."""
        code = super().loop_read(max_packets)
        while code == MQTTErrorCode.MQTT_ERR_SUCCESS and self._at < len(self._read):
            code = super().loop_read(max_packets)
        return code

    def confirm(self, messages: Iterable[MQTTMessage]) -> None:
        """Acknowledges them, in this order, by one packet after the other in one go."""
        kinds = {1: MessageType.PUBACK, 2: MessageType.PUBCOMP}
        packets = [bytes((kinds[each.qos], 2)) + each.mid.to_bytes(2, "big") for each in messages if each.qos]
        if packets:
            self._packet_queue(MessageType.PUBACK, b"".join(packets), 0, 1)

    def _handle_pubrec(self) -> MQTTErrorCode:
        # paho goes on with PUBREL after a PUBREC that refuses (MQTT 5.0, 4.3.3), and then reports something else.
        packet = bytes(self._in_packet["packet"])
        if self._protocol == MQTTProtocolVersion.MQTTv5 and len(packet) > 2 and packet[2] >= 0x80:
            mid = int.from_bytes(packet[:2], "big")
            with self._out_message_mutex:
                if mid in self._out_messages:
                    code = ReasonCode(PacketTypes.PUBREC, identifier=packet[2])
                    nothing = Properties(PacketTypes.PUBREC)  # type: ignore[no-untyped-call]
                    return self._do_on_publish(mid, code, nothing)
            return MQTTErrorCode.MQTT_ERR_SUCCESS
        return super()._handle_pubrec()

    def release(self) -> None:
        """Closes the pair of sockets that wakes the thread; after it has ended."""
        self._reset_sockets()


def _nobody(problem: str) -> None:
    """Before somebody listens."""
