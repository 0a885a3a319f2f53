"""JSON Web Tokens of one issuer: signed by an allowed algorithm, for us, and alive."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from typing import Literal, Self

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from pydantic import Field, model_validator

from pipe.contract import Duration, Secret, Strict
from pipe.errors import ConfigError

Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512"
]  # fmt: skip
_REMEMBERED = 1024


class JwtConfig(Strict):
    """Tokens that an authorisation server signs."""

    issuer: str = Field(min_length=1, description="What `iss` must be.", examples=["https://id.partner.example"])
    audience: str = Field(min_length=1, description="What `aud` must be or hold.", examples=["pipe"])
    keys: Secret = Field(description="The issuer's keys: a JSON Web Key Set.", examples=["${file:secrets/issuer.jwks}"])
    algorithms: list[Algorithm] = Field(default=["RS256", "ES256"], min_length=1, description="What it may sign with.")
    caller: str = Field(default="sub", description="The claim that names the caller.")
    leeway: Duration = Field(default=Duration(60), description="How far the issuer's clock may differ from ours.")
    max_life: Duration | None = Field(default=None, description="Longest time from `iat` to `exp`.")

    @model_validator(mode="after")
    def _one_family(self) -> Self:
        """A public key must never serve as the secret of an HMAC."""
        if len({algorithm.startswith("HS") for algorithm in self.algorithms}) > 1:
            raise ValueError("algorithms must be all HS… (shared secret) or all with key pairs, not both")
        return self


class JwtVerifier:
    """Says whose a token is."""

    def __init__(self, config: JwtConfig) -> None:
        self._config = config
        self._text = ""
        self._keys: KeySet | None = None
        self._seen: OrderedDict[bytes, tuple[str, float]] = OrderedDict()
        """callers of tokens whose signature was good, and until when; saves the mathematics on each request"""

    def caller_of(self, token: str, now: float) -> str | None:
        """The caller, or None where anything about the token is wrong. Raises ConfigError for our unreadable keys."""
        keys = self.keys()
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        if (known := self._seen.get(digest)) is not None and now < known[1]:
            return known[0]
        try:
            decoded = jwt.decode(token, keys, algorithms=list(self._config.algorithms))
            if len(keys.keys) > 1 and not decoded.header.get("kid"):
                return None
            self._claims(now).validate(decoded.claims)
        except (JoseError, ValueError, TypeError, KeyError):  # joserfc meets nonsense in a token with all of these
            return None
        return self._remember(digest, decoded.claims, now)

    def _remember(self, digest: bytes, claims: dict[str, object], now: float) -> str | None:
        caller, ends, began = claims.get(self._config.caller), claims["exp"], claims.get("iat")
        if not isinstance(caller, str) or not caller or not isinstance(ends, (int, float)):
            return None
        longest = self._config.max_life
        if longest is not None and not (isinstance(began, (int, float)) and ends - began <= longest):
            return None
        self._seen[digest] = (caller, min(ends + self._config.leeway, now + 60))
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return caller

    def _claims(self, now: float) -> jwt.JWTClaimsRegistry:
        config = self._config
        return jwt.JWTClaimsRegistry(
            now=int(now),
            leeway=int(config.leeway),
            iss={"essential": True, "value": config.issuer},
            aud={"essential": True, "value": config.audience},
            exp={"essential": True},
        )

    def keys(self) -> KeySet:
        """Today's keys: a changed file takes effect, and what the old ones let in is forgotten."""
        text = self._config.keys.reveal()
        if self._keys is None or text != self._text:
            self._seen.clear()
            try:
                self._keys = KeySet.import_key_set(json.loads(text))
            except (JoseError, ValueError, TypeError, KeyError) as error:
                raise ConfigError(f"{self._config.keys.reference} is not a JSON Web Key Set") from error
            self._text = text
        return self._keys
