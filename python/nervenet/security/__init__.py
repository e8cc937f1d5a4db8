# SPDX-License-Identifier: Apache-2.0
"""Who calls, and what they may do.

    identity   reads the caller from a certificate, a JWT or a token
    policy     decides by rules whether this caller may make this call
    audit      writes down who asked for which change, before it is made
"""

from nervenet.security.caller import Caller

__all__ = ["Caller"]
