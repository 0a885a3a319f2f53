"""What `sign_in:` of a configuration may say: how staff come in."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from yarl import URL

from pipe.config.references import Secret
from pipe.config.units import Duration
from pipe.contract import Strict

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def _issuer(text: str) -> str:
    url = URL(text)
    if url.scheme not in {"http", "https"} or not url.host or url.query_string or url.fragment or url.user:
        raise ValueError(f"`{text}` is no issuer: write `https://id.example` as the provider's discovery says it")
    if url.scheme == "http" and url.host not in LOOPBACK:
        raise ValueError("an issuer is asked over `https://`; plain HTTP is for loopback only")
    return text.rstrip("/") if url.path == "/" else text


def _address(text: str) -> str:
    url = URL(text)
    if url.scheme not in {"http", "https"} or not url.host or url.path not in {"", "/"} or url.query_string:
        raise ValueError(f"`{text}` is no address of a site: write `https://gateway.example`")
    return text.rstrip("/")


def _network(text: str) -> str:
    return str(ip_network(text))


class Provider(Strict):
    """A provider of single sign-on: OpenID Connect by discovery, authorization code with PKCE."""

    issuer: Annotated[str, AfterValidator(_issuer)] = Field(
        description="Who signs the tokens; its discovery document is at `/.well-known/openid-configuration` below it.",
        examples=["https://id.example"],
    )
    client_id: str = Field(min_length=1, description="How the provider knows this gateway.")
    client_secret: Secret | None = Field(
        default=None, description="The secret that goes with it; without one PKCE alone protects the code."
    )
    label: str = Field(default="", max_length=60, description="What its button says; by default the provider's name.")
    scopes: list[str] = Field(default=["openid", "profile", "email"], description="What is asked for.")
    person: str = Field(
        default="email",
        description="Claim that is a person's login here, at the first sign-in; `email` only if it is verified.",
    )
    parameters: dict[str, str] = Field(
        default={}, description="Added to the request as the provider wants it.", examples=[{"acr_values": "high"}]
    )
    networks: list[Annotated[str, AfterValidator(_network)]] = Field(
        default=[], description="Private or loopback networks that the provider may lie in.", examples=[["10.1.0.0/16"]]
    )


class SignIn(Strict):
    """How staff come in."""

    idle: Duration = Field(default=Duration(15 * 60), description="A session ends after so long without a request.")
    longest: Duration = Field(default=Duration(12 * 3600), description="A session ends after so long in any case.")
    second_factor: Literal["optional", "required"] = Field(
        default="optional",
        description="`required`: who signs in with a password sets up an authenticator app before anything else.",
    )
    address: Annotated[str, AfterValidator(_address)] | None = Field(
        default=None,
        description="The pages' address as browsers see it, for providers to lead back to; by default as it was asked.",
        examples=["https://gateway.example"],
    )
    providers: dict[str, Provider] = Field(default={}, description="Single sign-on, by name.")
