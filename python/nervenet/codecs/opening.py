# SPDX-License-Identifier: Apache-2.0
"""From the setting `codec` to codecs.

aes-gcm:/etc/nervenet/keys             encrypt; keys from a file
gzip,aes-gcm:env:NERVENET_KEYS         compress, then encrypt; keys from an environment variable
shop.secrets:codec                     an object of your own, see PayloadCodec
"""

from __future__ import annotations

import importlib
import re
import sys
from typing import Any, Final

from nervenet.codecs.aes_gcm import AesGcm
from nervenet.codecs.codecs import PLAIN, Codecs, PayloadCodec
from nervenet.codecs.compression import Gzip
from nervenet.errors import ConfigError, detail

_NAME: Final = re.compile(r"[a-z0-9-]+")


def open_codecs(value: str | None) -> Codecs:
    """The codecs of the setting `codec`; those that change nothing if it is not set.

    Args:
        value: The setting.

    Raises:
        ConfigError: Keys or a codec of your own cannot be loaded.
    """
    return Codecs([_open(part) for part in value.split(",")]) if value else PLAIN


def _open(part: str) -> PayloadCodec:
    if part == "gzip":
        return Gzip()
    if part.startswith("aes-gcm:"):
        return AesGcm(part[8:])
    return _own(part)


def _own(part: str) -> PayloadCodec:
    module, _, path = part.partition(":")
    if "" not in sys.path and "." not in sys.path:
        sys.path.append("")  # as for `nervenet node app.py`: modules of the working directory
    try:
        found: Any = importlib.import_module(module)
        for name in path.split("."):
            found = getattr(found, name)
    except Exception as error:  # noqa: BLE001  # whatever the user's module raises
        raise ConfigError(f"codec: {part} cannot be loaded: {detail(error)}") from None
    missing = [name for name in ("encode", "decode", "digests") if not callable(getattr(found, name, None))]
    name = str(getattr(found, "name", ""))
    if missing or not _NAME.fullmatch(name) or name == "blob":  # which is where a value lies, not a codec
        raise ConfigError(
            f"codec: {part} is no codec: it needs `name` (lower-case letters, digits and -) and the methods encode, decode "
            "and digests, see nervenet.codecs.PayloadCodec"
        )
    codec: PayloadCodec = found
    return codec
