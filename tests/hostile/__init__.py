# SPDX-License-Identifier: Apache-2.0
"""Connections that mean no good, at the ports of a real node, beside clients that do."""
