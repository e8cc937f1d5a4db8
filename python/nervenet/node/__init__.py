# SPDX-License-Identifier: Apache-2.0
"""What a node is made of; `node.py` puts it together."""
