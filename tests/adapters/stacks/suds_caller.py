"""Calls an operation with suds: `suds_caller.py WSDL-URL appeals|payments`; prints what it got as JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

from suds import WebFault
from suds.client import Client


def appeals(client: Any) -> Any:
    """Registers an appeal with a derived type, a choice and a list, then one that the route refuses."""
    official = client.factory.create("{urn:example:common}Official")
    official.name = client.factory.create("{urn:example:common}Name")
    official.name.value, official.name._lang, official.office = "Олена", "uk", "register"
    told = client.service.Register("1", official, phone="+380671234567", text="Немає води", tag=["a", "b"])
    try:
        client.service.Register("2", official, phone="+380671234567")
    except WebFault as fault:
        return {"number": told.number, "state": str(told.state), "fault": str(fault.fault.faultstring),
                "id": str(fault.fault.detail.NotFound.id)}  # fmt: skip
    raise AssertionError("it was not refused")


def payments(client: Any) -> Any:
    """rpc/literal."""
    account = client.factory.create("{urn:example:payments:types}Account")
    account.iban = "UA1"
    answer = client.service.Pay("r-1", "10.50", account)
    return {"number": answer.number, "iban": str(answer.account.iban)}


made = Client(sys.argv[1], cache=None, timeout=10)
sys.stdout.write(json.dumps({"appeals": appeals, "payments": payments}[sys.argv[2]](made)))
