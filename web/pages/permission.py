"""What an operation demands of whoever calls it. Every operation declares it: there is no default."""

from __future__ import annotations

from enum import Enum

from flows.access.model import Object


class Open(Enum):
    """What is not a right of a role."""

    PUBLIC = "public"
    """for strangers, too"""
    SIGNED_IN = "signed in"
    """for everybody who has signed in: their own account"""


PUBLIC, SIGNED_IN = Open.PUBLIC, Open.SIGNED_IN
GATEWAY = Object()
"""what concerns all of it, and no company"""
Permission = str | Open
"""`area.verb`, or one of Open"""
