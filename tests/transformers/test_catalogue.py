"""The catalogue of steps: complete, documented, and made of what the contract says."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from pydantic import BaseModel, RootModel

from pipe.contract import Message, Transformer
from tests.transformers.messages import STEPS, step
from transformers import TRANSFORMERS


def test_the_steps_of_the_design_are_there() -> None:
    """Each under its own name."""
    assert [kind.name for kind in TRANSFORMERS] == ["decode", "encode", "check", "map", "set", "filter", "table"]


def models(kind: type[BaseModel]) -> list[type[BaseModel]]:
    """A model and all models within it."""
    found = [kind]
    for name, field in kind.model_fields.items():
        parts = [field.annotation, *getattr(field.annotation, "__args__", ())]
        inner = [part for part in parts if inspect.isclass(part) and issubclass(part, BaseModel)]
        found += [model for part in inner for model in models(part) if name]
    return found


@pytest.mark.parametrize("kind", TRANSFORMERS, ids=STEPS)
def test_every_key_of_a_step_is_described(kind: type[Transformer]) -> None:
    """The reference page is generated from descriptions and examples, so none may be missing."""
    for model in models(kind.Config):
        assert (model.__doc__ or "").strip()
        silent = [name for name, field in model.model_fields.items() if not field.description]
        assert silent == ([] if not issubclass(model, RootModel) else ["root"])
    assert kind.Config.model_json_schema()
    assert kind.apply.__doc__


EXAMPLES = [
    (name, example)
    for name, kind in STEPS.items()
    for example in kind.Config.model_json_schema().get("examples", [])
    if name != "check"
]


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_every_example_is_a_good_configuration(name: str, example: Any) -> None:
    """What the reference shows works."""
    assert step(name, example)


def test_a_step_leaves_the_message_before_it_alone() -> None:
    """Steps are pure: the same message may go through again after a crash."""
    body = {"a": {"b": [1, {"c": "x"}]}, "rows": [{"g": "1", "v": "2"}]}
    before = Message(id="01hx", route="r", body=body, headers={"h": "1"})
    copy = Message(
        id="01hx", route="r", body={"a": {"b": [1, {"c": "x"}]}, "rows": [{"g": "1", "v": "2"}]}, headers={"h": "1"}
    )
    for name, config in (
        ("map", {"x": "body.a"}), ("set", {"body.a.b": 1, "headers.h": "'2'"}), ("filter", "body.a"),
        ("encode", {"xml": {"root": "r"}}), ("encode", "json"),
    ):  # fmt: skip
        step(name, config).apply(before)
        assert before == copy
    step("table", {"sum": ["v"]}).apply(before.but(body=body["rows"]))
    assert before == copy
