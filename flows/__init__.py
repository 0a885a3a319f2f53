"""The business flows, each in a folder of its own. Adding one: import it, add it to FLOWS."""

from __future__ import annotations

from flows import access, appeals, duty, otp, signin
from pipe.contract import Flow

FLOWS: tuple[Flow, ...] = (access.FLOW, appeals.FLOW, signin.FLOW, otp.FLOW, duty.FLOW)
