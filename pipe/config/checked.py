"""Loads a configuration and holds it against every rule: what `pipe lint` prints, and what `pipe apply` insists on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pipe.config.findings import ConfigInvalid, Finding
from pipe.config.lint import lint
from pipe.config.models import Configuration
from pipe.contract import Adapter


@dataclass(frozen=True, slots=True)
class Checked:
    """A configuration, where it could be read, and everything that was found in it."""

    configuration: Configuration | None
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that stand in the way."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    def good(self) -> Configuration:
        """The configuration. Raises ConfigInvalid with all findings where one of them is an error."""
        if self.configuration is None or self.errors:
            raise ConfigInvalid(self.findings)
        return self.configuration


def check(read: Callable[[], Configuration], adapters: Mapping[str, type[Adapter]]) -> Checked:
    """What is found in the configuration that `read` gives; nothing is raised for its mistakes."""
    try:
        configuration = read()
    except ConfigInvalid as invalid:
        return Checked(None, tuple(invalid.findings))
    return Checked(configuration, tuple(lint(configuration, adapters=adapters)))
