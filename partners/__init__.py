"""Stand-ins of the partners: small strict HTTP services that record every request and misbehave by command.

`await start(data)` brings all of them up on loopback, `control.tell` speaks to those of a data folder, and
`python -m partners --data DIR` runs them as a process of their own. Their keys and tokens are published on purpose:
they open nothing but the stand-ins.
"""

from __future__ import annotations

from partners.control import tell
from partners.house import PORTS, Partners, start

__all__ = ["PORTS", "Partners", "start", "tell"]
