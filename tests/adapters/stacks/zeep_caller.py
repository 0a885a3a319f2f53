"""Calls our server with zeep's own client: `zeep_caller.py WSDL-URL PORT`; prints what it got as JSON."""

from __future__ import annotations

import json
import sys

import zeep
from zeep.exceptions import Fault

client = zeep.Client(sys.argv[1], port_name=sys.argv[2])
official = client.get_type("{urn:example:common}Official")(name={"_value_1": "Олена", "lang": "uk"}, office="register")
call = {"applicant": official, "phone": "+380671234567", "due": zeep.xsd.Nil, "tag": ["a", "b"], "scan": b"\x00\x01"}
told = client.service.Register(id="1", urgent=True, _soapheaders={"session": "s-1"}, **call)
client.service.Remind(id="1")
try:
    client.service.Register(id="2", **call)
except Fault as fault:
    detail = "".join(fault.detail.itertext()).strip()
    sys.stdout.write(json.dumps({"number": told.number, "state": told.state, "fault": fault.message, "id": detail}))
