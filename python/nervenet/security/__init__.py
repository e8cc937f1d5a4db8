# SPDX-License-Identifier: Apache-2.0
"""Who calls, what proves it, and what they may do."""

from nervenet.security.caller import Caller

__all__ = ["Caller"]
