# SPDX-License-Identifier: Apache-2.0
"""Generated from protos/internal/cel; see there."""
