# SPDX-License-Identifier: Apache-2.0
"""Who calls, what proves it, and what they may do."""

from nervenet.security.call import CURRENT_CALL, IdentifiedCall, current_call, subject_of_caller
from nervenet.security.caller import Caller
from nervenet.security.identity import Identity

__all__ = ["CURRENT_CALL", "Caller", "IdentifiedCall", "Identity", "current_call", "subject_of_caller"]
