"""X.509 signatures in WS-Security: ours on what we send, a pinned certificate's on what we get.

signxml is imported where it is used: most connections sign nothing, and it is slow to load.
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from lxml import etree

from adapters.soap.names import DS, WSSE, WSU

_X509 = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0#X509v3"
_BASE64 = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary"
ID = f"{{{WSU}}}Id"


class NotSigned(Exception):
    """A signature that is missing, broken, by somebody else, or not on what it should be on."""


def marked(element: Any, kind: str) -> str:
    """The element's wsu:Id, given to it if it has none."""
    known = element.get(ID)
    if known is None:
        known = f"{kind}-{uuid.uuid4()}"
        element.set(ID, known)
    return str(known)


def sign(security: Any, parts: Sequence[Any], cert: bytes, key: bytes, passphrase: str | None) -> None:
    """Adds our certificate and a signature over these elements to the Security header. Raises ValueError."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
    from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm, SignatureConstructionMethod, SignatureMethod
    from signxml.signer import XMLSigner

    certificate = x509.load_pem_x509_certificates(cert)[0]
    private: Any = load_pem_private_key(key, passphrase.encode() if passphrase else None)
    token = etree.SubElement(security, f"{{{WSSE}}}BinarySecurityToken", EncodingType=_BASE64, ValueType=_X509)
    token.text = base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()
    is_rsa = hasattr(private, "decrypt")
    signer = XMLSigner(
        method=SignatureConstructionMethod.detached,
        signature_algorithm=SignatureMethod.RSA_SHA256 if is_rsa else SignatureMethod.ECDSA_SHA256,
        digest_algorithm=DigestAlgorithm.SHA256,
        c14n_algorithm=CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0,
    )
    references = [f"#{marked(part, 'part')}" for part in parts]
    info = _key_info(marked(token, "x509"))
    signature = signer.sign(
        security.getroottree().getroot(), key=private, reference_uri=references, key_info=info, id_attribute="Id"
    )
    security.append(signature)


def _key_info(token: str) -> Any:
    info = etree.Element(f"{{{DS}}}KeyInfo", nsmap={"ds": DS, "wsse": WSSE})
    reference = etree.SubElement(info, f"{{{WSSE}}}SecurityTokenReference")
    etree.SubElement(reference, f"{{{WSSE}}}Reference", URI=f"#{token}", ValueType=_X509)
    return info


def check_signature(security: Any, demanded: Iterable[tuple[str, Any]], trusted: bytes, now: float) -> str:
    """Which of the trusted certificates (PEM) signed these elements: its subject.

    `demanded` are pairs of a word and an element: the very elements that are going to be used, so that a signed copy
    elsewhere in the message is worth nothing. Raises NotSigned.
    """
    from cryptography import x509
    from signxml.exceptions import SignXMLException
    from signxml.verifier import SignatureConfiguration, XMLVerifier

    signature = security.findall(f"{{{DS}}}Signature")
    if len(signature) != 1:
        raise NotSigned("there is no signature" if not signature else "there are several signatures")
    root = security.getroottree().getroot()
    _check_covered(root, signature[0], demanded)
    config = SignatureConfiguration(
        expect_references=False, location=_way_to(security), verification_time=datetime.fromtimestamp(now, UTC)
    )
    reason = "no certificate is trusted"
    for certificate in x509.load_pem_x509_certificates(trusted):
        try:
            XMLVerifier().verify(root, x509_cert=certificate, expect_config=config, id_attribute="Id")
        except (SignXMLException, ValueError, KeyError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            continue
        return certificate.subject.rfc4514_string()
    raise NotSigned(f"no trusted certificate made the signature: {reason[:200]}")


def signed_info(security: Any) -> str:
    """A name of what the signature says. Not of the signature itself: one of ECDSA has a twin that is as good."""
    info = security.find(f"{{{DS}}}Signature/{{{DS}}}SignedInfo")
    return hashlib.sha256(etree.tostring(info, method="c14n", exclusive=True)).hexdigest()


def _check_covered(root: Any, signature: Any, demanded: Iterable[tuple[str, Any]]) -> None:
    ids = [each for element in root.iter() for name, each in element.attrib.items() if name.rpartition("}")[2] == "Id"]
    references = signature.findall(f"{{{DS}}}SignedInfo/{{{DS}}}Reference")
    signed = {each.get("URI", "") for each in references}
    allowed = {"http://www.w3.org/2001/10/xml-exc-c14n#"}
    for transform in signature.iter(f"{{{DS}}}Transform"):
        if transform.get("Algorithm") not in allowed:
            raise NotSigned("the signature transforms what it signs by more than exclusive canonicalisation")
    for word, element in demanded:
        own = element.get(ID) or element.get("Id")
        if own is None or f"#{own}" not in signed:
            raise NotSigned(f"the {word} is not signed")
        if ids.count(own) != 1:
            raise NotSigned(f"the Id of the {word} stands twice")


def _way_to(security: Any) -> str:
    """The path of the Security header from the envelope down, as signxml wants it."""
    header = security.getparent()
    return f"./{header.tag}/{security.tag}/"
