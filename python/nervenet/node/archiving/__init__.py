# SPDX-License-Identifier: Apache-2.0
"""Moves closed runs to the archive, in the background of each node that has one."""
