"""Signatures that other people's tools can check: Ed25519 in a DSSE envelope around an in-toto statement.

What belongs here: the home's key pair, making envelopes, opening them. What does not: what a statement must say
(`warehouse.attestation`) and what a bad signature means for a release (`warehouse.verify`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from warehouse.errors import Fault, UsageError
from warehouse.files import canonical_json, pretty_json, write_atomic
from warehouse.paths import Home

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner

PUBLIC_KEY: Final = "signing.pub"
PRIVATE_KEY: Final = "signing.key"
PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"


class SignatureError(Exception):
    """An envelope that does not hold; the message says why, in Chinese, without a final stop."""


def load_or_create(home: Home) -> CryptoSigner:
    """The home's signer; the first call makes its key (mode 0600) and writes the public one beside it.

    The caller holds the lock `publish`. Raises Fault when the key is there but unreadable, OSError.
    """
    from securesystemslib.signer import CryptoSigner

    path = home.root / PRIVATE_KEY
    if not path.exists():
        write_atomic(path, CryptoSigner.generate_ed25519().private_bytes, mode=0o600)
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Fault(f"签名私钥 {path.name} 读不出来。", "请从备份恢复；换用新钥前须通知所有核对者。") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise Fault(f"签名私钥 {path.name} 不是 Ed25519 密钥。", "请从备份恢复该文件。")
    signer = CryptoSigner(key)
    public = home.root / PUBLIC_KEY
    if not public.is_file():
        write_atomic(public, public_pem(signer))
    return signer


def public_pem(signer: CryptoSigner) -> bytes:
    """The signer's public key as PEM (SubjectPublicKeyInfo)."""
    raw = bytes.fromhex(str(signer.public_key.keyval["public"]))
    return _pem(Ed25519PublicKey.from_public_bytes(raw))


def read_public_key(path: Path) -> bytes:
    """A public key file given by a person, as canonical PEM. Raises UsageError when it is none."""
    try:
        return _pem(_parse(path.read_bytes()))
    except (OSError, SignatureError) as error:
        raise UsageError(
            f"公钥文件 {path} 读不出来，或不是 Ed25519 公钥。", "请给出 PEM 格式的 signing.pub。"
        ) from error


def _pem(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _parse(pem: bytes) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SignatureError("公钥读不出来") from error
    if not isinstance(key, Ed25519PublicKey):
        raise SignatureError("公钥不是 Ed25519 公钥")
    if _pem(key) != pem.replace(b"\r\n", b"\n"):
        raise SignatureError("公钥文件被改动")
    return key


def key_id(pem: bytes) -> str:
    """How envelopes name a public key: 64 hex digits. Raises SignatureError."""
    from securesystemslib.signer import SSlibKey

    return str(SSlibKey.from_crypto(_parse(pem)).keyid)


def seal_statement(
    signer: CryptoSigner, subjects: Mapping[str, str], predicate_type: str, predicate: Mapping[str, Any]
) -> bytes:
    """An envelope around a statement: `subjects` maps names to SHA-256, `predicate` holds texts, lists and mappings.

    Numbers belong into texts: the statement's own number type is a double.
    """
    from google.protobuf.json_format import MessageToDict
    from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
    from in_toto_attestation.v1.statement import Statement
    from securesystemslib.dsse import Envelope

    resources = [ResourceDescriptor(name=name, digest={"sha256": sha}).pb for name, sha in sorted(subjects.items())]
    statement = Statement(resources, predicate_type, dict(predicate))
    statement.validate()
    envelope = Envelope(canonical_json(MessageToDict(statement.pb)), PAYLOAD_TYPE, {})
    envelope.sign(signer)
    return pretty_json(envelope.to_dict())


def open_statement(data: bytes, pem: bytes, predicate_type: str) -> tuple[dict[str, str], dict[str, Any]]:
    """Subjects (name -> SHA-256) and predicate of an envelope signed with this public key. Raises SignatureError."""
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import Error
    from securesystemslib.signer import SSlibKey

    try:
        envelope = Envelope.from_dict(json.loads(data))
        # Base64 and JSON have several spellings of one content; only ours was written.
        if pretty_json(envelope.to_dict()) != data or envelope.payload_type != PAYLOAD_TYPE:
            raise SignatureError("签名文件被改动")
        envelope.verify([SSlibKey.from_crypto(_parse(pem))], 1)
        content = json.loads(envelope.payload)
        subjects = {item["name"]: item["digest"]["sha256"] for item in content["subject"]}
        found, predicate = content["predicateType"], content["predicate"]
    except (Error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SignatureError("签名与公钥不符，或签名文件被改动") from error
    if found != predicate_type:
        raise SignatureError("签名的用途不对")
    return subjects, predicate
