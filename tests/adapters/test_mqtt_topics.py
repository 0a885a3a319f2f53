"""Topics: filters with names, and what data may make of a topic."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from adapters.mqtt.topics import filled, overlap, params_of, subscribed
from pipe.contract import Message, Template
from pipe.errors import BadHeader, MappingFailed
from tests.adapters.mqtt_bench import subscription, target

LEVEL = st.sampled_from(["a", "b", "+", "#"])
FILTER = st.lists(LEVEL, min_size=1, max_size=4).map("/".join)
NAMES = [
    f"{'/'.join(parts)}" for parts in (["a"], ["b"], ["a", "b"], ["b", "a"], ["a", "a", "b"], ["b", "b", "b", "a"])
]


def fits(text: str) -> bool:
    """Whether `#` stands at the end only."""
    return "#" not in text.split("/")[:-1]


def message(**body: object) -> Message:
    """A message with this body."""
    return Message(id="m-1", route="r", body=body)


@pytest.mark.key("from.mqtt.topic")
@pytest.mark.parametrize(
    ("topic", "asked", "name", "params"),
    [
        ("meters/{meter}/reading", "meters/+/reading", "meters/m-7/reading", {"meter": "m-7"}),
        ("meters/{meter}/reading", "meters/+/reading", "meters/m-7/alarm", None),
        ("meters/{meter}/reading", "meters/+/reading", "meters/a/b/reading", None),
        ("{site}/+/{meter}", "+/+/+", "kyiv/x/7", {"site": "kyiv", "meter": "7"}),
        ("{site}/#", "+/#", "kyiv/a/b/c", {"site": "kyiv"}),
        ("{site}/#", "+/#", "kyiv", {"site": "kyiv"}),
        ("{site}/#", "+/#", "$SYS/load", None),
        ("$SYS/#", "$SYS/#", "$SYS/load", {}),
        ("#", "#", "a/b", {}),
        ("a.c/{x}", "a.c/+", "abc/1", None),
        ("in/{x}", "in/+", "in/", {"x": ""}),
        ("in/{x}", "in/+", "in/a\nb", {"x": "a\nb"}),
    ],
)
def test_named_levels_become_params(topic: str, asked: str, name: str, params: dict[str, str] | None) -> None:
    """A name takes exactly one level; wildcards never mean what begins with $."""
    options = subscription(topic)
    assert subscribed(options.topic, None) == asked
    assert params_of(options.topic, name) == params


@pytest.mark.parametrize(
    "topic", ["", "a/#/b", "a+/b", "a/b#", "{a}/{a}", "a/{B}", "a/x{b}", "$share/g/a", "a\0b", "a\nb", "x" * 65_536]
)
def test_a_topic_that_is_none_is_refused(topic: str) -> None:
    """When the configuration is read."""
    with pytest.raises(ValidationError):
        subscription(topic)


@given(FILTER.filter(fits), FILTER.filter(fits))
def test_overlap_is_seen(one: str, other: str) -> None:
    """Wherever a name fits both; the same whichever comes first."""
    assert overlap(one, other) == overlap(other, one)
    both = [name for name in NAMES if params_of(one, name) is not None and params_of(other, name) is not None]
    assert overlap(one, other) or both == []


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("a/{x}", "a/b", True), ("a/{x}", "b/{x}", False), ("a/#", "a", True), ("a/#", "a/b/c", True),
        ("a/+", "a/b/c", False), ("#", "$SYS/x", False), ("$SYS/+", "$SYS/x", True), ("a", "a/b", False),
        ("+/b", "a/+", True),
    ],
)  # fmt: skip
def test_what_overlaps(one: str, other: str, expected: bool) -> None:
    """Written out."""
    assert overlap(one, other) is expected


@pytest.mark.parametrize(
    "value", ["#", "+", "a/b", "", "\0", "$SYS", "a b", "їжак", "../x", "a\n", "x" * 65, "a#", "\ud800"]
)  # fmt: skip
def test_a_value_that_is_no_word_never_becomes_a_level(value: str) -> None:
    """Refused by name, whatever it would have made of the topic."""
    with pytest.raises(BadHeader):
        filled(Template("meters/${body.meter}/command"), message(meter=value))


@given(st.text())
def test_data_never_changes_the_shape_of_a_topic(value: str) -> None:
    """As many levels as the template has, no wildcard, nothing of the broker's own."""
    try:
        topic = filled(Template("${body.meter}/command"), message(meter=value))
    except (BadHeader, MappingFailed):
        return
    assert topic == f"{value}/command"
    assert topic.count("/") == 1
    assert not set(topic) & set("+#$\0")


@pytest.mark.key("to.mqtt.values")
@pytest.mark.parametrize(
    ("value", "level"),
    [
        ("a/b", "a%2Fb"), ("#", "%23"), ("+", "%2B"), ("ї 1", "%D1%97%201"), ("$SYS", "%24SYS"), ("\0", "%00"),
        ("a.b~", "a.b~"),
    ],
)  # fmt: skip
def test_a_value_may_be_encoded_within_its_level(value: str, level: str) -> None:
    """`values: percent` takes any text, and it stays one level."""
    template = target("meters/${body.meter}/command", values="percent").publish
    assert template is not None
    assert filled(template, message(meter=value), percent=True) == f"meters/{level}/command"


@given(st.text(min_size=1))
def test_an_encoded_value_is_one_level_and_can_be_read_again(value: str) -> None:
    """Whatever it is."""
    topic = filled(Template("${body.meter}/command"), message(meter=value), percent=True)
    level, _, rest = topic.partition("/")
    assert (unquote(level, errors="surrogatepass"), rest) == (value, "command")
    assert not set(level) & set("+#$\0")


@pytest.mark.key("to.mqtt.publish")
def test_a_topic_is_made_from_data() -> None:
    """Words fill levels and parts of them."""
    template = target("meters/${body.meter}/to-${message.id}").publish
    assert template is not None
    made = filled(template, message(meter="M_7-a"))
    assert made == "meters/M_7-a/to-m-1"


@pytest.mark.parametrize("topic", ["a/+/${body.x}", "a/#", "$SYS/x", "", "a\0", "$share/g/a"])
def test_a_topic_that_nobody_may_publish_to_is_refused_when_it_is_read(topic: str) -> None:
    """Wildcards, and what belongs to the broker."""
    with pytest.raises(ValidationError):
        target(topic)
