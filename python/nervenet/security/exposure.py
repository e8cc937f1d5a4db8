# SPDX-License-Identifier: Apache-2.0
"""Whether a process may listen where it is told to: beyond this machine only with TLS, and only if it knows who calls.

warning = check_exposure(config, "node", "listen", "0.0.0.0:7700")      # ConfigError, unless it is told `insecure`
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nervenet.config import is_loopback, split_host_port
from nervenet.errors import ConfigError

if TYPE_CHECKING:
    from nervenet.config import Config

__all__ = ["check_exposure"]

_SET_TLS: Final = (
    "set NERVENET_TLS_CERT and NERVENET_TLS_KEY (and NERVENET_TLS to the file of your authorities, for mTLS)"
)
_SET_IDENTITY: Final = (
    "set one of NERVENET_TLS=<CA file> (mTLS), NERVENET_JWT_ISSUER with NERVENET_JWT_AUDIENCE, NERVENET_TOKENS_FILE, "
    "and NERVENET_TOKEN_FILE (one token for all)"
)


def check_exposure(config: Config, role: str, setting: str, address: str) -> str:
    """The warning for an operator who allows what would be refused; "" where there is nothing to warn of.

    Args:
        config: The settings of the process.
        role: What it is: `node`, `agent`.
        setting: Which setting holds the address, for the message.
        address: Where it is to listen.

    Raises:
        ConfigError: Others can reach the address, and TLS or identity is missing, and the setting `insecure` is off.
    """
    if is_loopback(split_host_port(address)[0]):
        return ""
    has_tls = config.tls_for(address) != "off" and config.tls_cert is not None
    missing = [] if has_tls else [("no TLS", _SET_TLS)]
    if not config.wants_credentials:
        missing.append(("no way to know who calls it", _SET_IDENTITY))
    if not missing:
        return ""
    lacks = " and ".join(what for what, _ in missing)
    reach = f"{setting} is {address}, which others can reach, and this {role} has {lacks}"
    remedies = "; ".join(how for _, how in missing)
    if not config.insecure:
        raise ConfigError(
            f"{reach}, so it does not start: {remedies}. Where the network itself is closed, pass --insecure "
            "(or set NERVENET_INSECURE=on)"
        )
    risk = "any process that reaches it can read, start and cancel everything"
    if config.wants_credentials:
        risk = "who can read the network reads tokens and payloads"
    return f"{reach}: {risk}. It was told --insecure; otherwise {remedies}"
