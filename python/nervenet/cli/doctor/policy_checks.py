# SPDX-License-Identifier: Apache-2.0
"""The policy file of this machine's settings: whether a node would take it as it is now."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nervenet.cli.doctor.check import Check, error, ok
from nervenet.errors import ConfigError
from nervenet.security.policies import load_policy

if TYPE_CHECKING:
    from nervenet.config import Config

__all__ = ["policy_checks"]


def policy_checks(config: Config) -> list[Check]:
    """One check where a policy file is set; none where the built-in policy counts."""
    if config.policy is None:
        return []
    try:
        roles, rules = load_policy(Path(config.policy)).size
    except ConfigError as found:
        first, *more = str(found).splitlines()
        rest = f" (and {len(more)} more)" if more else ""
        remedy = (
            f"nervenet policy check {config.policy}; until then running nodes keep the last good one, and none starts"
        )
        return [error("policy.file", f"{first}{rest}", remedy)]
    return [ok("policy.file", f"{config.policy}: {roles} roles, {rules} rules")]
