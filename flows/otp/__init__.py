"""One-time passwords through a Telegram bot: for staff who sign in, and for whoever a company's functions are for."""

from __future__ import annotations

from flows.otp import tables
from flows.otp.steps import STEPS
from pipe.contract import Flow

FLOW = Flow(name="otp", steps=STEPS, migrations=(tables.create,), subjects=tables.SUBJECTS)
