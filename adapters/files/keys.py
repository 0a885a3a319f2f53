"""The keys that every connection of files has, and those of its routes."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from yarl import URL

from adapters.files.finding import checked
from adapters.files.names import wrong
from pipe.contract import ConnectionConfig, Duration, Options, Strict, Template, Timeout


def _inside(text: str) -> str:
    """Checks a path of the configuration that lies below the folder. Raises ValueError."""
    for segment in text.removesuffix("/").split("/"):
        if (problem := wrong(segment)) is not None:
            raise ValueError(f"`{text}` must lie below the folder: {segment!r} {problem}")
    return text.removesuffix("/")


def _pattern(text: str) -> str:
    pattern = _inside(text)
    checked(tuple(pattern.split("/")))
    return pattern


def _template_inside(template: Template) -> Template:
    if template.text.startswith("/") or ".." in template.text.split("/"):
        raise ValueError(f"`{template.text}` must lie below the folder: no `/` in front, no `..`")
    return template


def server_address(scheme: str) -> Callable[[str], str]:
    """Checks the address of a server of files. Raises ValueError."""

    def check(text: str) -> str:
        url = URL(text)
        if url.scheme != scheme or not url.host or len(text.split()) != 1:
            raise ValueError(f"this is no address of a server: write `{scheme}://host` or `{scheme}://host:port`")
        if url.raw_user is not None or url.raw_password is not None:
            raise ValueError("credentials do not belong into an address: write them as `user:` and `password:`")
        if url.raw_path not in {"", "/"} or url.raw_query_string or url.raw_fragment:
            raise ValueError("an address of a server ends with its port: write the folder as `folder:`")
        return text

    return check


def _folder(text: str) -> str:
    parts = text.strip("/").split("/") if text.strip("/") else []
    if any(part in {"", ".", ".."} for part in parts) or any(sign < " " or sign == "\x7f" for sign in text):
        raise ValueError(f"`{text}` is no folder: write `exchange/bank`, or `/srv/exchange` from the server's root")
    return ("/" if text.startswith("/") else "") + "/".join(parts)


def _signs(name: str) -> str:
    try:
        codecs.lookup(name)
        b"a/".decode(name)
    except (LookupError, UnicodeError):
        raise ValueError(
            f"`{name}` is no encoding of file names: write for example `utf-8` or `windows-1251`"
        ) from None
    if "a/".encode(name) != b"a/":
        raise ValueError(f"`{name}` does not write a slash as FTP and SFTP do")
    return name


Inside = Annotated[str, AfterValidator(_inside)]
Folder = Annotated[str, AfterValidator(_folder)]
Signs = Annotated[str, AfterValidator(_signs)]


class FilesConfig(ConnectionConfig):
    """Keys that every connection of files has."""

    timeout: Timeout | None = Field(
        default=Timeout(connect=Duration(10), read=Duration(30), total=Duration(3600)),
        description="One attempt at one file: a large one must pass within `total`. That of `defaults` is not used.",
    )
    work: str = Field(
        default=".work",
        pattern=r"^\.[A-Za-z0-9_-]{1,64}$",
        description="Folder below, where files wait that were claimed; gateways that share a folder need one each.",
        examples=[".work-kyiv"],
    )


class Marker(Strict):
    """A file is ready when another one says so."""

    marker: str = Field(
        pattern=r"^[^/\x00-\x1f]+$", description="Ending of the file that says so: `.done` waits for `a.csv.done`."
    )


class Move(Strict):
    """Keeps what was taken in another folder."""

    move: Inside = Field(description="Folder below the connection's; a name that is taken there gets a number.")


class FileSubscription(Options):
    """Which files are taken, when, and what becomes of them."""

    get: Annotated[str, AfterValidator(_pattern)] = Field(
        description="Pattern below the folder; `**` stands for any number of folders.", examples=["in/*.csv"]
    )
    every: Duration = Field(default=Duration(60), description="Pause between two looks.")
    ready: Literal["stable"] | Marker = Field(
        default="stable", description="`stable`: size and time are the same at two looks."
    )
    after: Literal["delete", "keep"] | Move = Field(
        default="delete", description="What becomes of a file once its message is safe."
    )

    @property
    def pattern(self) -> tuple[str, ...]:
        """The segments of `get`."""
        return tuple(self.get.split("/"))


class FileTarget(Options):
    """Where a message becomes a file."""

    put: Annotated[Template, AfterValidator(_template_inside)] = Field(
        description="Path below the folder; missing folders are made.", examples=["out/${date}/${message.id}.xml"]
    )
    exists: Literal["replace", "refuse"] = Field(
        default="replace", description="What to do when the file is there with other content."
    )
