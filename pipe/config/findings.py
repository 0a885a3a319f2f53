"""What is wrong with a configuration: every mistake with its file, line and column, all of them at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from pipe.errors import ConfigError

Severity = Literal["error", "warning"]

CODES: dict[str, str] = {
    # reading
    "file-missing": "A file that is named cannot be read.",
    "too-large": "A file, or what its aliases unfold to, is larger than a configuration may be.",
    "syntax": "The text is not YAML.",
    "duplicate-key": "A key stands twice in one map; YAML would silently take the last.",
    "not-allowed": "A trick of YAML that configurations do without: tags, merge keys, several documents, deep nesting.",
    # keys and values
    "unknown-key": "A key that nothing reads.",
    "missing-key": "A key that must be there is not.",
    "bad-value": "A value of the wrong kind or outside its limits.",
    "env-missing": "The environment does not have a variable that is asked for without a default.",
    "misplaced-reference": "A reference to a file or secret stands where no secret is read.",
    "secret-in-clear": "A secret stands in the file itself.",
    "secret-missing": "A reference names a secret that is not there now.",
    # names
    "bad-name": "A name of a connection or route has letters that addresses and logs cannot carry.",
    "duplicate-name": "Two connections or routes have one name.",
    "unknown-type": "No adapter has this type.",
    "unknown-connection": "No connection has this name.",
    "unknown-route": "No route has this name.",
    "unknown-step": "No step has this name.",
    "unknown-listener": "No listener has this name.",
    "not-a-source": "The connection cannot receive messages.",
    "not-a-sink": "The connection cannot send messages.",
    "no-channel": "Nothing in this gateway serves the channels of companies.",
    "no-bot": "A route tells people in their Telegram chats, and sends through no bot.",
    "not-internal": "Another route can only emit to a route of `from: internal`.",
    "not-a-caller": "The connection gives no reply, where one is needed.",
    "misplaced-step": "A step stands where it cannot run.",
    "no-target": "The route leads nowhere.",
    # the whole
    "unused-connection": "No route uses the connection.",
    "unreachable-route": "Nothing emits to a route of `from: internal`.",
    "same-entrance": "Two routes listen at one entrance.",
    "circle": "Routes lead to one another in a circle.",
    "hold-too-short": "A key's order would be given up before the retries end.",
    "deadline-too-short": "Messages expire before a retry can help them.",
    "open-listener": "Anyone may send where the gateway listens openly.",
    "unprotected-listener": "Staff would sign in over a network without TLS.",
    "unknown-path": "An expression asks for what the message cannot have there.",
    "gather-without-split": "There is nothing to gather.",
    "promise-too-strong": "The route claims more than its parts can keep.",
    "adapter": "The adapter refuses this combination.",
}
"""every code of a finding, with what it means, for the reference page"""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One mistake, where it stands."""

    file: str
    line: int
    column: int
    code: str
    text: str
    severity: Severity = "error"

    def __str__(self) -> str:
        warning = "warning: " if self.severity == "warning" else ""
        return f"{self.file}:{self.line}: {self.code} {warning}{self.text}"

    def as_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {name: getattr(self, name) for name in ("file", "line", "column", "code", "text", "severity")}


class ConfigInvalid(ConfigError):
    """The configuration has mistakes; `findings` lists them all."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        """Errors and warnings in the order of files and lines; at least one is an error."""
        self.findings = sorted(set(findings))
        errors = [finding for finding in self.findings if finding.severity == "error"]
        more = f", and {len(errors) - 1} more" if len(errors) > 1 else ""
        super().__init__(f"{errors[0]}{more}" if errors else "")


def nearest(word: str, known: Iterable[str]) -> str:
    """What was probably meant and what is known, as the end of a finding's text."""
    names = sorted(set(known))
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    meant = f". Did you mean `{close[0]}`?" if close else "."
    shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
    return f"{meant} Known: {shown}" if names else f"{meant} There are none"
