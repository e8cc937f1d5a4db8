# SPDX-License-Identifier: Apache-2.0
"""Payload codecs: values are encrypted or compressed in the process of the user's code, and nowhere else in clear.

    codecs = open_codecs(config.codec)                  # "gzip,aes-gcm:/etc/nervenet/keys"; "" changes nothing
    sealed = codecs.encode(Payload("json", b'"secret"'))
    codecs.decode(sealed)                               # the same payload again, or CodecError

Clients, agents and the workflow code in nodes encode what they give and decode what they get. Redis, journals, logs, traces,
and readers without a key, see an encoded payload: bytes with a content type of their own (`layout`). docs/howto/encrypt-payloads.md
says what is encoded and what is not.

Nothing here knows protobuf, although the bytes are the contract's own `Payload`: the replay machine uses this package, and it
must not reach generated messages.
"""

from nervenet.codecs.codecs import PLAIN, Codecs, PayloadCodec
from nervenet.codecs.layout import CodecError, describe, hidden, is_encoded
from nervenet.codecs.opening import open_codecs

__all__ = [
    "PLAIN",
    "CodecError",
    "Codecs",
    "PayloadCodec",
    "describe",
    "hidden",
    "is_encoded",
    "open_codecs",
]
