"""Keys, did:plc operations and service auth, made with nothing but what PyPI atproto brings along."""

import base64
import hashlib
import json
import os
import time

import libipld
from atproto_crypto.did import format_did_key
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

SECP256K1_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b'=').decode()


class Keypair:
    """A secp256k1 key that signs as the protocol wants it: compact, low S."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256K1())

    def did_key(self) -> str:
        point = self._key.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        return format_did_key('ES256K', point)

    def sign(self, message: bytes) -> bytes:
        r, s = decode_dss_signature(self._key.sign(message, ec.ECDSA(hashes.SHA256())))
        s = min(s, SECP256K1_ORDER - s)
        return r.to_bytes(32, 'big') + s.to_bytes(32, 'big')


def operation(*, signer: Keypair, rotation_keys, signing_key, handle, endpoint, prev=None) -> dict:
    """A signed did:plc operation that names one handle, one signing key and one server."""
    unsigned = {
        'type': 'plc_operation',
        'rotationKeys': rotation_keys,
        'verificationMethods': {'atproto': signing_key},
        'alsoKnownAs': [f'at://{handle}'],
        'services': {'atproto_pds': {'type': 'AtprotoPersonalDataServer', 'endpoint': endpoint}},
        'prev': prev,
    }
    return {**unsigned, 'sig': base64url(signer.sign(libipld.encode_dag_cbor(unsigned)))}


def did_of(genesis: dict) -> str:
    """The DID that a genesis operation makes."""
    digest = hashlib.sha256(libipld.encode_dag_cbor(genesis)).digest()
    return 'did:plc:' + base64.b32encode(digest).decode().lower()[:24]


def cid_of(signed: dict) -> str:
    """The CID that the next operation names as its `prev`."""
    digest = hashlib.sha256(libipld.encode_dag_cbor(signed)).digest()
    return 'b' + base64.b32encode(b'\x01\x71\x12\x20' + digest).decode().lower().rstrip('=')


def service_token(*, signer: Keypair, did: str, audience: str, method: str) -> str:
    """Service auth: the DID's own key vouches for one call of one method."""
    now = int(time.time())
    header = {'typ': 'JWT', 'alg': 'ES256K'}
    claims = {'iat': now, 'exp': now + 60, 'iss': did, 'aud': audience, 'lxm': method, 'jti': os.urandom(16).hex()}
    signed = '.'.join(base64url(json.dumps(part).encode()) for part in (header, claims))
    return f'{signed}.{base64url(signer.sign(signed.encode()))}'
