"""All pages there are. Adding some: make an Area, add it to AREAS; a feed that pages follow, to TOPICS.

Where a person begins is decided here, too: STARTS.
"""

from __future__ import annotations

from monitoring.pulse import TOPIC as PULSE
from web.admin import (
    audit,
    companies,
    findings,
    grants,
    groups,
    home,
    importing,
    keys,
    otp,
    people,
    person,
    places,
    questions,
    roles,
    rules,
    sessions,
)
from web.ops import alerts, connections, dead, exchanges, itself, messages, overview, revisions, routes, subscriptions
from web.pages import common
from web.pages.bots import FEED as BOTS
from web.pages.live import Topic
from web.pages.router import Area
from web.signin import account, beginning, elsewhere, emergency, login, telegram, with_provider

__all__ = ["AREAS", "STARTS", "TOPICS"]

AREAS: tuple[Area, ...] = (
    common.AREA, login.AREA, beginning.AREA, with_provider.AREA, account.AREA, elsewhere.AREA, telegram.AREA,
    home.AREA, people.AREA, person.AREA, importing.AREA, places.AREA, companies.AREA, groups.AREA,
    roles.AREA, grants.AREA, rules.AREA, questions.AREA, emergency.AREA,
    sessions.AREA, keys.AREA, audit.AREA, findings.AREA, otp.AREA,
    overview.AREA, exchanges.AREA, messages.AREA, dead.AREA, connections.AREA, routes.AREA,
    alerts.AREA, subscriptions.AREA, revisions.AREA, itself.AREA,
)  # fmt: skip
TOPICS: tuple[Topic, ...] = (
    Topic("signin", "session.read"), Topic("access", "grant.read"), Topic(BOTS, "otp.read"),
    Topic(PULSE, "gateway.read", whole=True),
)  # fmt: skip
STARTS = ("/admin", "/ops")
"""`/` leads to the first of these parts in which a person has something to do; without any right to the first one"""
