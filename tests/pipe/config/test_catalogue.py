"""The configuration of what is really built in."""

from __future__ import annotations

import jsonschema
import pytest

from pipe.app import catalogue
from pipe.config import hooks
from pipe.config.editor_schema import editor_schema

KNOWN = catalogue()


def test_the_editors_schema_of_the_gateway_is_a_schema() -> None:
    """Whatever adapters and steps are added."""
    schema = editor_schema(adapters=KNOWN.adapters, transformers=KNOWN.transformers, flows=KNOWN.flows)
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("name", sorted(KNOWN.adapters))
def test_every_adapter_is_a_source_or_a_sink(name: str) -> None:
    """By the attributes that the contract names; else no route could use it."""
    adapter = KNOWN.adapters[name]
    assert hooks.subscription(adapter) or hooks.target(adapter)
