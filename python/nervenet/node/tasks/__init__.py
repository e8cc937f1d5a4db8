# SPDX-License-Identifier: Apache-2.0
"""Tasks of the workflows on a node: sent to agents, watched until their outcome is in the journal, sent again when lost."""
