"""A wrong value for each key, with the code and the words of its finding."""

from __future__ import annotations

from typing import NamedTuple


class Wrong(NamedTuple):
    """One wrong value, as it is written in YAML, and what is said about it."""

    value: str
    code: str
    text: str


HEAD = "version: 1\nconnections:\n  web: {type: http_server, auth: none}\n  crm: {type: http_client, url: 'http://127.0.0.1:1'}\n"
ROUTE = "from: {connection: web, path: /x}"
TO = "to: {connection: crm, post: /x, idempotent: true}"
CONTEXTS: dict[str, str] = {
    "top": "connections: {}\n@",
    "limits": "version: 1\nlimits: {\n@\n}",
    "retention": "version: 1\nretention: {\n@\n}",
    "retry": "version: 1\ndefaults: {retry: {\n@\n}}",
    "timeout": "version: 1\ndefaults: {timeout: {\n@\n}}",
    "top.defaults": "version: 1\ndefaults: {\n@\n}",
    "listeners": "version: 1\nlisteners: {public: {\n@\n}}",
    "include": "version: 1\ninclude: [more.yaml]",
    "connections": "version: 1\nconnections: {crm: {url: 'http://127.0.0.1:1',\n@\n}}",
    "reconnect": "version: 1\nconnections: {crm: {type: http_client, url: 'http://127.0.0.1:1', reconnect: {\n@\n}}}",
    "breaker": "version: 1\nconnections: {crm: {type: http_client, url: 'http://127.0.0.1:1', breaker: {\n@\n}}}",
    "probe": "version: 1\nconnections: {crm: {type: http_client, url: 'http://127.0.0.1:1', probe: {\n@\n}}}",
    "rate": "version: 1\nconnections: {crm: {type: http_client, url: 'http://127.0.0.1:1', rate: [{\n@\n}]}}",
    "http_client": "version: 1\nconnections: {crm: {type: http_client,\n@\n}}",
    "http_server": "version: 1\nconnections: {web: {type: http_server,\n@\n}}",
    "file_folder": "version: 1\nconnections: {box: {type: file_folder,\n@\n}}",
    "routes": f"{HEAD}routes: {{r: {{\n@\n}}}}",
    "from": f"{HEAD}routes: {{r: {{{TO}, from: {{path: /x,\n@\n}}}}}}",
    "from.http_server": f"{HEAD}routes: {{r: {{{TO}, from: {{connection: web,\n@\n}}}}}}",
    "from.http_client": f"{HEAD}routes: {{r: {{{TO}, from: {{connection: crm,\n@\n}}}}}}",
    "from.file_folder": f"{HEAD}  box: {{type: file_folder, path: box}}\nroutes: {{r: {{{TO}, from: {{connection: box,\n@\n}}}}}}",
    "from schedule": f"{HEAD}routes: {{r: {{{TO}, from: {{\n@\n}}}}}}",
    "from every": f"{HEAD}routes: {{r: {{{TO}, from: {{\n@\n}}}}}}",
    "from outcome": f"{HEAD}routes: {{r: {{{TO}, from: {{outcome: dead,\n@\n}}}}}}",
    "from outcome.outcome": f"{HEAD}routes: {{r: {{{TO}, from: {{\n@\n}}}}}}",
    "from channel": f"{HEAD}routes: {{r: {{{TO}, from: {{channel: telegram,\n@\n}}}}}}",
    "from channel.channel": f"{HEAD}routes: {{r: {{{TO}, from: {{\n@\n}}}}}}",
    "reply": f"{HEAD}routes: {{r: {{{ROUTE}, {TO}, reply: {{\n@\n}}}}}}",
    "reply.faults": f"{HEAD}routes: {{r: {{{ROUTE}, {TO}, reply: {{mode: sync, faults: [{{\n@\n}}]}}}}}}",
    "to": f"{HEAD}routes: {{r: {{{ROUTE}, to: {{connection: crm, post: /x,\n@\n}}}}}}",
    "to.connection": f"{HEAD}routes: {{r: {{{ROUTE}, to: {{post: /x,\n@\n}}}}}}",
    "to.route": f"{HEAD}routes: {{r: {{{ROUTE}, to: {{\n@\n}}}}}}",
    "to.channel": f"{HEAD}routes: {{r: {{{ROUTE}, to: {{\n@\n}}}}}}",
    "to.http_client": f"{HEAD}routes: {{r: {{{ROUTE}, to: {{connection: crm,\n@\n}}}}}}",
    "to.file_folder": f"{HEAD}  box: {{type: file_folder, path: box}}\nroutes: {{r: {{{ROUTE}, to: {{connection: box,\n@\n}}}}}}",
    "on_uncertain": f"{HEAD}routes: {{r: {{{ROUTE}, to: {{connection: crm, post: /x, on_uncertain: {{\n@\n}}}}}}}}",
    "on_uncertain.confirm": f"{HEAD}routes: {{r: {{{ROUTE}, to: {{connection: crm, post: /x, on_uncertain: {{confirm: {{\n@\n}}}}}}}}}}",
    "gather": f"{HEAD}routes: {{r: {{{ROUTE}, {TO}, steps: [{{split: {{items: body}}}}], gather: {{\n@\n}}}}}}",
    "steps": f"{HEAD}routes: {{r: {{{ROUTE}, {TO}, steps: [{{\n@\n}}]}}}}",
    "choose": f"{HEAD}routes: {{r: {{{ROUTE}, {TO}, steps: [{{choose: [{{\n@\n}}]}}]}}}}",
    "split": f"{HEAD}routes: {{r: {{{ROUTE}, {TO}, steps: [{{split: {{\n@\n}}}}]}}}}",
    "enrich": f"{HEAD}routes: {{r: {{{ROUTE}, {TO}, steps: [{{enrich: {{get: /x,\n@\n}}}}]}}}}",
    "tap": f"{HEAD}routes: {{r: {{{ROUTE}, {TO}, steps: [{{tap: {{\n@\n}}}}]}}}}",
    "tests": f"{HEAD}routes: {{r: {{{ROUTE}, {TO}}}}}\ntests: [{{\n@\n}}]",
    "tests.send": f"{HEAD}routes: {{r: {{{ROUTE}, {TO}}}}}\ntests: [{{route: r, send: {{\n@\n}}}}]",
    "tests.replies": f"{HEAD}routes: {{r: {{{ROUTE}, {TO}}}}}\ntests: [{{route: r, replies: {{crm: {{\n@\n}}}}}}]",
}
"""a configuration for each block; `@` is the line that the key and its wrong value stand in"""
