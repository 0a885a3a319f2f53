"""Errors of the configuration."""

from __future__ import annotations

from pipe.errors.base import PipeError, Verdict


class ConfigError(PipeError):
    """The configuration says something wrong."""

    code, verdict, status = "PIPE-1001", Verdict.STOP, 500
    hint = "run `pipe lint`: it lists every mistake with file and line"


class SecretMissing(ConfigError):
    """A reference names a secret that is not there."""

    code = "PIPE-1002"
    hint = "set the environment variable, write the file, or store it with `pipe secrets set NAME`"


class RevisionUnknown(ConfigError):
    """A stored revision of the configuration cannot be read any more."""

    code = "PIPE-1003"
    hint = "this version no longer takes what an earlier one took; compare by hand, then start the gateway or apply"
