"""The keys of `type: sftp`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator
from yarl import URL

from adapters.files.keys import FilesConfig, Folder, Signs, server_address
from adapters.http_network import Allow, LocalPath, unlisted
from pipe.contract import Secret


class SftpConfig(FilesConfig):
    """An SFTP server. Its host key is pinned: a server that shows another one is never spoken to."""

    type: Literal["sftp"] = "sftp"
    url: Annotated[str, AfterValidator(server_address("sftp"))] = Field(
        description="Where the server is; the port is 22 unless it is written.",
        examples=["sftp://sftp.partner.example"],
    )
    user: str = Field(min_length=1, description="Who we are.")
    password: Secret | None = Field(default=None, description="The password; read at each sign-in.")
    key: Secret | None = Field(
        default=None,
        description="Our private key, the text of its file in OpenSSH's form or PEM; read at each sign-in.",
        examples=["${file:secrets/id_ed25519}"],
    )
    passphrase: Secret | None = Field(default=None, description="Passphrase of the key.")
    known_hosts: LocalPath | None = Field(
        default=None, description="File in OpenSSH's form with the server's host key; a change is taken up at once."
    )
    host_keys: list[Annotated[str, Field(pattern=r"^SHA256:[A-Za-z0-9+/]{43}$")]] = Field(
        default=[],
        description="Fingerprints that the server may show, beside those in `known_hosts`.",
        examples=[["SHA256:9hCTAbN4uCbWYk3WFvu2jd0g2dnKwWyGZDNv2Eqq8Vg"]],
    )
    folder: Folder = Field(
        default="",
        description="Folder that all paths are below; relative to where sign-in leads, unless it begins with `/`.",
        examples=["exchange/bank"],
    )
    charset: Signs = Field(default="utf-8", description="Of file names.", examples=["windows-1251"])
    allow: Allow | None = Field(default=None, description="Where this connection may lead; else only to `url`.")
    concurrency: int = Field(
        default=2,
        ge=1,
        le=1000,
        description="Sends at the same time, each in a session of its own; servers count sessions.",
    )

    @property
    def place(self) -> tuple[str, int]:
        """Host and port."""
        url = URL(self.url)
        return url.host or "", url.explicit_port or 22

    @property
    def pinned(self) -> Path | None:
        """The file of host keys."""
        return self.known_hosts

    @model_validator(mode="after")
    def _whole(self) -> SftpConfig:
        if (problem := unlisted(self.allow, self.url)) is not None:
            raise ValueError(problem)
        if self.password is None and self.key is None:
            raise ValueError("say how to sign in: `password:` or `key:`")
        if self.known_hosts is None and not self.host_keys:
            raise ValueError(
                'say which server this is: `known_hosts: FILE`, or `host_keys: ["SHA256:…"]`; '
                "`ssh-keyscan HOST | ssh-keygen -lf -` shows them, and the partner confirms them"
            )
        return self
