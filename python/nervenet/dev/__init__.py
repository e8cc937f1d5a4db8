# SPDX-License-Identifier: Apache-2.0
"""The whole mesh on one machine: embedded servers and one supervisor, for development and tests."""
