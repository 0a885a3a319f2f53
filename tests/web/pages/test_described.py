"""`/api/v1` as its document says: every operation, fitting and unfitting requests, with a key for all of it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import aiohttp
import pytest
from jsonschema import Draft202012Validator
from schemathesis.specs.openapi.definitions import OPENAPI_31

from flows.access.permissions import CATALOGUE
from pipe.config.models import Configuration
from tests.web.pages.site import Pages
from web.catalogue import AREAS
from web.openapi import document
from web.pages.router import Router

EXPECTED = """
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 409, 413, 414, 415, 422, 431]
"""


def test_the_operations_are_openapi() -> None:
    """The specification's own schema finds nothing wrong, and each operation names its permission."""
    made = document(Configuration(), Router(AREAS).operations)
    assert [error.message for error in Draft202012Validator(OPENAPI_31).iter_errors(made)] == []
    offered = [each for path, entry in made["paths"].items() if path.startswith("/api/v1") for each in entry.values()]
    assert len(offered) > 15
    assert all(each["x-permission"] for each in offered)


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "phases", ["fuzzing,stateful", pytest.param("examples,coverage,fuzzing,stateful", marks=pytest.mark.deep)]
)
async def test_programs_get_what_the_document_says(site: Pages, phases: str) -> None:
    """Hundreds of requests with a good key: statuses, bodies and headers are those of the document; no page breaks.

    Some of each operation on every run; every bound of every parameter, thousands of requests, in the deep suite.
    """
    owner = await site.person("reports", *(each.name for each in CATALOGUE), kind="service")
    key = await site.key(owner)
    (site.gateway.settings.data / "schemathesis.toml").write_text(EXPECTED, encoding="utf-8")
    command = (
        str(Path(sys.executable).parent / "schemathesis"), "run", f"{site.address}/api/openapi.json",
        "--include-path-regex", "^/api/v1", "--exclude-path-regex", "/(revoke|dismiss|approve)$",
        "--phases", phases, "--max-examples", "5", "--seed", "1", "--no-color",
        "-H", f"Authorization: Bearer {key}",
    )  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *command, cwd=site.gateway.settings.data, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await asyncio.wait_for(process.communicate(), 220)
    assert process.returncode == 0, output.decode()[-6000:]
    assert "returned only 401/403" not in output.decode()


async def test_a_key_does_what_its_owner_may_and_no_more_than_it_is_for(site: Pages) -> None:
    """Without a key 401, with one for other things 403 with the permission, with the right one the list."""
    owner = await site.person("reports", "person.read", "key.read", kind="service")
    wide, narrow = await site.key(owner), await site.key(owner, "key.*")
    async with aiohttp.ClientSession(site.address) as client:
        statuses = []
        for headers in ({}, {"Authorization": f"Bearer {wide}x"}, {"Authorization": f"Bearer {narrow}"}):
            async with client.get("/api/v1/people", headers=headers) as response:
                statuses.append(response.status)
        async with client.get("/api/v1/people", headers={"Authorization": f"Bearer {wide}"}) as response:
            found = await response.json()
        async with client.get("/api/v1/audit", headers={"Authorization": f"Bearer {wide}"}) as response:
            refused = await response.json()
    assert statuses == [401, 401, 403]
    assert [row["login"] for row in found["people"]["rows"]] == ["reports"]
    assert (refused["status"], refused["code"]) == (403, "PIPE-5002")
