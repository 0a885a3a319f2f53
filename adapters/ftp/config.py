"""The keys of `type: ftp`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator
from yarl import URL

from adapters.files.keys import FilesConfig, Folder, Signs, server_address
from adapters.http_network import Allow, Mtls, Tls, unlisted
from pipe.contract import Secret

Mode = Literal["explicit", "implicit", "none"]


class FtpTls(Tls):
    """How the way is secured, and how the server's certificate is checked."""

    mode: Literal["explicit", "implicit"] = Field(
        default="explicit",
        description="`explicit`: AUTH TLS on port 21. `implicit`: TLS from the first byte, port 990.",
    )


class FtpConfig(FilesConfig):
    """An FTP server. Transfers are passive, and their connections go to the address of the first one, nowhere else."""

    type: Literal["ftp"] = "ftp"
    url: Annotated[str, AfterValidator(server_address("ftp"))] = Field(
        description="Where the server is; the port is 21, or 990 where TLS is implicit, unless it is written.",
        examples=["ftp://ftp.partner.example"],
    )
    tls: Mode | FtpTls = Field(
        default="explicit", description="`none` sends password and files in clear: for a line that is safe otherwise."
    )
    mtls: Mtls | None = Field(default=None, description="Our own certificate, where the server demands one.")
    user: str = Field(default="anonymous", min_length=1, description="Who we are.")
    password: Secret | None = Field(default=None, description="The password; read at each sign-in.")
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
    def mode(self) -> Mode:
        """Where TLS begins."""
        return self.tls.mode if isinstance(self.tls, FtpTls) else self.tls

    @property
    def checks(self) -> Tls:
        """How the certificate is checked."""
        return self.tls if isinstance(self.tls, FtpTls) else Tls()

    @property
    def place(self) -> tuple[str, int]:
        """Host and port."""
        url = URL(self.url)
        # yarl knows 21 as the port of ftp.
        return url.host or "", url.explicit_port or (990 if self.mode == "implicit" else 21)

    @model_validator(mode="after")
    def _whole(self) -> FtpConfig:
        if (problem := unlisted(self.allow, self.url)) is not None:
            raise ValueError(problem)
        if self.mtls is not None and self.mode == "none":
            raise ValueError("`mtls` needs TLS: write `tls: explicit` or `tls: implicit`")
        return self
