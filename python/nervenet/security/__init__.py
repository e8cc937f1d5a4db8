# SPDX-License-Identifier: Apache-2.0
"""Who calls, what proves it, and what they may do."""

from nervenet.security.call import CURRENT_CALL, IdentifiedCall, current_call, subject_of_caller
from nervenet.security.caller import Caller
from nervenet.security.exposure import check_exposure
from nervenet.security.identity import Identity
from nervenet.security.refusals import NOTHING_DONE

__all__ = [
    "CURRENT_CALL",
    "NOTHING_DONE",
    "Caller",
    "IdentifiedCall",
    "Identity",
    "check_exposure",
    "current_call",
    "subject_of_caller",
]
