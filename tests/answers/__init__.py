# SPDX-License-Identifier: Apache-2.0
"""What an operator is told about each thing that can go wrong, by every command and by the metrics."""
