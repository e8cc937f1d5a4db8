# SPDX-License-Identifier: Apache-2.0
"""The parts of table.py: what is run, the systems that run it, what is measured, and how it is shown."""
