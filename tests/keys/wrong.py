"""A wrong value for each key, with the place where it stands, and the code and words of its finding."""

from __future__ import annotations

HEAD = """\
version: 1
listeners: {public: {address: "127.0.0.1:0"}}
connections:
  web: {type: http_server, auth: none}
  crm: {type: http_client, url: "http://127.0.0.1:1"}
  box: {type: file_folder, path: box}
  desk: {type: soap_server, auth: none, wsdl: ping.wsdl}
  civil: {type: soap_client, wsdl: ping.wsdl}
  ftps: {type: ftp, url: "ftp://127.0.0.1:1"}
  drop: {type: sftp, url: "sftp://127.0.0.1:1", user: gw, password: "${env:A}", known_hosts: hosts}
  broker: {type: mqtt, url: "mqtt://127.0.0.1:1", client_id: gw}
  hook: {type: webhook, url: "http://127.0.0.1:1", secret: "${env:HOOK}"}
  mail: {type: smtp, url: "smtp://127.0.0.1:1", sender: a@x.example}
  bot: {type: telegram, token: "${env:BOT}", updates: polling}
routes:
"""
PING = """\
<definitions name="Ping" targetNamespace="urn:ping" xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:p="urn:ping"
    xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/" xmlns:xs="http://www.w3.org/2001/XMLSchema">
  <types><xs:schema targetNamespace="urn:ping"><xs:element name="Ping" type="xs:string"/></xs:schema></types>
  <message name="In"><part name="body" element="p:Ping"/></message>
  <portType name="Port"><operation name="Ping"><input message="p:In"/></operation></portType>
  <binding name="Soap" type="p:Port">
    <soap:binding transport="http://schemas.xmlsoap.org/soap/http"/>
    <operation name="Ping"><soap:operation soapAction=""/><input><soap:body use="literal"/></input></operation>
  </binding>
  <service name="Ping"><port name="P" binding="p:Soap"><soap:address location="http://127.0.0.1:1/ping"/></port></service>
</definitions>
"""
"""a WSDL beside each configuration"""
PINNED = "password: '${env:A}', host_keys: ['SHA256:%s']," % ("A" * 43)
FROM = "from: {connection: web, path: /x}"
TO = "to: {connection: crm, post: /x, idempotent: true}"


def _connection(type_: str, *inside: str) -> str:
    """A connection with a line for the key, in a block of those names."""
    return f"version: 1\nconnections: {{c: {{type: {type_}, {_within(*inside)}}}}}"


def _route(*inside: str) -> str:
    """A route with a line for the key."""
    return f"{HEAD}  r: {{{_within(*inside)}}}"


def _within(*inside: str) -> str:
    """What stands before the line (with its brackets open), the line, and the brackets that close."""
    before = " ".join(inside)
    closing = "".join({"{": "}", "[": "]"}[sign] for sign in reversed(_open(before)))
    return f"{before}\n¤\n{closing}"


def _open(text: str) -> list[str]:
    found: list[str] = []
    for sign in text:
        if sign in "{[":
            found.append(sign)
        elif sign in "}]":
            found.pop()
    return found


BLOCKS: dict[str, str] = {
    "top": "version: 1\n¤",
    "limits": "version: 1\nlimits: {\n¤\n}",
    "retention": "version: 1\nretention: {\n¤\n}",
    "retry": "version: 1\ndefaults: {retry: {\n¤\n}}",
    "timeout": "version: 1\ndefaults: {timeout: {\n¤\n}}",
    "top.defaults": "version: 1\ndefaults: {\n¤\n}",
    "listeners": "version: 1\nlisteners: {public: {\n¤\n}}",
    "listeners.tls": "version: 1\nlisteners: {public: {address: '127.0.0.1:0', tls: {\n¤\n}}}",
    "sign_in": "version: 1\nsign_in: {\n¤\n}",
    "alerts": "version: 1\nalerts: {\n¤\n}",
    "events": "version: 1\nevents: {\n¤\n}",
    "exchanges": "version: 1\nexchanges: {\n¤\n}",
    "traces": "version: 1\ntraces: {\n¤\n}",
    "alerts.rules": "version: 1\nalerts: {rules: {queue_age: {\n¤\n}}}",
    "sign_in.providers": "version: 1\nsign_in: {providers: {p: {issuer: 'https://id.example', client_id: c,\n¤\n}}}",
    "connections": _connection("http_client", "url: 'http://127.0.0.1:1',"),
    "reconnect": _connection("http_client", "url: 'http://127.0.0.1:1',", "reconnect: {"),
    "breaker": _connection("http_client", "url: 'http://127.0.0.1:1',", "breaker: {"),
    "probe": _connection("http_client", "url: 'http://127.0.0.1:1',", "probe: {"),
    "drift": _connection("http_client", "url: 'http://127.0.0.1:1',", "drift: {"),
    "drift.samples": _connection("http_client", "url: 'http://127.0.0.1:1',", "drift: {samples: {"),
    "http_client.drift": _connection("http_client", "url: 'http://127.0.0.1:1',", "drift: {"),
    "http_client.drift.openapi": _connection("http_client", "url: 'http://127.0.0.1:1',", "drift: {openapi: {"),
    "soap_client.drift": _connection("soap_client", "wsdl: ping.wsdl, url: 'http://127.0.0.1:1',", "drift: {"),
    "rate": _connection("http_client", "url: 'http://127.0.0.1:1',", "rate: [{"),
    "http_client": _connection("http_client", "url: 'http://127.0.0.1:1',"),
    "http_server": _connection("http_server"),
    "file_folder": _connection("file_folder"),
    "ftp": _connection("ftp", "url: 'ftp://127.0.0.1:1',"),
    "ftp.tls": _connection("ftp", "url: 'ftp://127.0.0.1:1', tls: {"),
    "sftp": _connection("sftp", f"url: 'sftp://127.0.0.1:1', user: gw, {PINNED}"),
    "soap_client": _connection("soap_client", "wsdl: ping.wsdl,"),
    "soap_server": _connection("soap_server", "wsdl: ping.wsdl,"),
    "mqtt": _connection("mqtt", "url: 'mqtt://127.0.0.1:1', client_id: gw,"),
    "mqtt.will": _connection("mqtt", "url: 'mqtt://127.0.0.1:1', client_id: gw, will: {topic: a,"),
    "webhook": _connection("webhook", "url: 'http://127.0.0.1:1', secret: '${env:HOOK}',"),
    "to.webhook": _route(FROM, ", to: {connection: hook,"),
    "from.webhook": _route(TO, ", from: {connection: hook,"),
    "telegram": _connection("telegram", "token: '${env:BOT}',"),
    "to.telegram": _route(FROM, ", to: {connection: bot, call: getFile,"),
    "from.telegram": _route(TO, ", from: {connection: bot,"),
    "smtp": _connection("smtp", "url: 'smtp://127.0.0.1:1', sender: a@x.example,"),
    "routes": _route(),
    "from": _route(TO, ", from: {connection: web, path: /x,"),
    "from.http_server": _route(TO, ", from: {connection: web,"),
    "from.http_client": _route(TO, ", from: {connection: crm,"),
    "from.file_folder": _route(TO, ", from: {connection: box,"),
    "from.ftp": _route(TO, ", from: {connection: ftps,"),
    "from.sftp": _route(TO, ", from: {connection: drop,"),
    "to.ftp": _route(FROM, ", to: {connection: ftps,"),
    "to.sftp": _route(FROM, ", to: {connection: drop,"),
    "from.mqtt": _route(TO, ", from: {connection: broker, topic: a,"),
    "from schedule": _route(TO, ", from: {"),
    "from every": _route(TO, ", from: {"),
    "from outcome": _route(TO, ", from: {outcome: dead,"),
    "from alerts": _route(TO, ", from: {alerts: warning,"),
    "from channel": _route(TO, ", from: {channel: telegram,"),
    "reply": _route(FROM, ",", TO, ", reply: {"),
    "reply.faults": _route(FROM, ",", TO, ", reply: {mode: sync, faults: [{"),
    "to": _route(FROM, ", to: {connection: crm, post: /x,"),
    "to.http_client": _route(FROM, ", to: {connection: crm,"),
    "to.soap_client": _route(FROM, ", to: {connection: civil, call: Ping,"),
    "to.mqtt": _route(FROM, ", to: {connection: broker, publish: a,"),
    "to.smtp": _route(FROM, ", to: {connection: mail, send: a@x.example, subject: a,"),
    "to.smtp.attachments": _route(
        FROM, ", to: {connection: mail, send: a@x.example, subject: a, attachments: [{name: a,"
    ),
    "mailbox": _route(FROM, ", to: {connection: mail, subject: a, send: {"),
    "to.file_folder": _route(FROM, ", to: {connection: box,"),
    "on_uncertain": _route(FROM, ", to: {connection: crm, post: /x, on_uncertain: {"),
    "on_uncertain.confirm": _route(FROM, ", to: {connection: crm, post: /x, on_uncertain: {confirm: {"),
    "gather": _route(FROM, ",", TO, ", steps: [{split: {items: body}}], gather: {"),
    "steps": _route(FROM, ",", TO, ", steps: [{"),
    "choose": _route(FROM, ",", TO, ", steps: [{choose: [{"),
    "split": _route(FROM, ",", TO, ", steps: [{split: {"),
    "enrich": _route(FROM, ",", TO, ", steps: [{enrich: {get: /x,"),
    "tap": _route(FROM, ",", TO, ", steps: [{tap: {"),
    "tests": f"{HEAD}  r: {{{FROM}, {TO}}}\ntests: [{{\n¤\n}}]",
}
"""a configuration for each block; `¤` is the line that a key and its wrong value stand in"""
KEYS: dict[str, str] = {
    "top.version": "connections: {}\n¤",
    "connections.type": "version: 1\nconnections: {c: {\n¤\n}}",
    "http_server.listener": "version: 1\nconnections: {c: {type: http_server, auth: none, ¤}}",
    "sign_in.providers.issuer": "version: 1\nsign_in: {providers: {p: {client_id: c,\n¤\n}}}",
    "sign_in.providers.client_id": "version: 1\nsign_in: {providers: {p: {issuer: 'https://id.example',\n¤\n}}}",
    "http_client.url": _connection("http_client"),
    "soap_server.listener": "version: 1\nconnections: {c: {type: soap_server, auth: none, wsdl: ping.wsdl, ¤}}",
    "ftp.url": _connection("ftp"),
    "ftp.tls": _connection("ftp", "url: 'ftp://127.0.0.1:1',"),
    "sftp.url": _connection("sftp", f"user: gw, {PINNED}"),
    "sftp.user": _connection("sftp", f"url: 'sftp://127.0.0.1:1', {PINNED}"),
    "sftp.password": _connection("sftp", "url: 'sftp://127.0.0.1:1', user: gw, known_hosts: hosts,"),
    "sftp.host_keys": _connection("sftp", "url: 'sftp://127.0.0.1:1', user: gw, password: '${env:A}',"),
    "soap_client.wsdl": _connection("soap_client"),
    "soap_server.wsdl": _connection("soap_server"),
    "from.soap_server.operation": f"{HEAD}  r: {{{TO}, from: {{connection: desk, ¤}}}}",
    "to.soap_client.call": f"{HEAD}  r: {{{FROM}, to: {{connection: civil, ¤}}}}",
    "mqtt.url": _connection("mqtt", "client_id: gw,"),
    "mqtt.client_id": _connection("mqtt", "url: 'mqtt://127.0.0.1:1',"),
    "mqtt.will.topic": _connection("mqtt", "url: 'mqtt://127.0.0.1:1', client_id: gw, will: {"),
    "from.mqtt.topic": _route(TO, ", from: {connection: broker,"),
    "to.mqtt.publish": _route(FROM, ", to: {connection: broker,"),
    "webhook.url": _connection("webhook", "secret: '${env:HOOK}',"),
    "webhook.secret": _connection("webhook", "url: 'http://127.0.0.1:1',"),
    "webhook.path": _connection("webhook", "url: 'http://127.0.0.1:1', shape: slack,"),
    "webhook.listener": "version: 1\nconnections: {c: {type: webhook, secret: '${env:HOOK}', ¤}}",
    "telegram.listener": "version: 1\nconnections: {c: {type: telegram, token: '${env:BOT}', ¤}}",
    "telegram.token": _connection("telegram", ""),
    "to.telegram.call": _route(FROM, ", to: {connection: bot,"),
    "smtp.url": _connection("smtp", "sender: a@x.example,"),
    "smtp.sender": _connection("smtp", "url: 'smtp://127.0.0.1:1',"),
    "to.smtp.send": _route(FROM, ", to: {connection: mail, subject: a,"),
    "to.smtp.subject": _route(FROM, ", to: {connection: mail, send: a@x.example,"),
    "to.smtp.attachments": _route(FROM, ", to: {connection: mail, send: a@x.example, subject: a,"),
    "to.smtp.attachments.name": _route(FROM, ", to: {connection: mail, send: a@x.example, subject: a, attachments: [{"),
    "mailbox.name": _route(FROM, ", to: {connection: mail, subject: a, send: {address: a@x.example,"),
    "mailbox.address": _route(FROM, ", to: {connection: mail, subject: a, send: {name: a,"),
    "to.mqtt.respond": _route(FROM, ", to: {connection: broker,"),
    "from.connection": _route(TO, ", from: {path: /x,"),
    "alerts.rules.over": "version: 1\nalerts: {rules: {queue_age: {¤}}}",
    "from outcome.outcome": _route(TO, ", from: {"),
    "from events.events": _route(TO, ", from: {"),
    "from alerts.alerts": _route(TO, ", from: {"),
    "from channel.channel": _route(TO, ", from: {"),
    "to.connection": _route(FROM, ", to: {post: /x,"),
    "to.route": _route(FROM, ", to: {"),
    "to.channel": _route(FROM, ", to: {"),
}
"""the same for a key that would stand twice in the configuration of its block"""


def configuration(key: str, value: str) -> tuple[str, int]:
    """A configuration in which this key has that value, and the line that it stands in."""
    block = key if key in KEYS else max((name for name in BLOCKS if key.startswith(f"{name}.")), key=len)
    names = [key.rpartition(".")[2]] if key in KEYS else key.removeprefix(f"{block}.").split(".")
    written = f"{names[-1]}: {value}"
    for name in reversed(names[:-1]):
        written = f"{name}: {{{written}}}"
    text = KEYS[key] if key in KEYS else BLOCKS[block]
    return text.replace("¤", written), text[: text.index("¤")].count("\n") + 1
