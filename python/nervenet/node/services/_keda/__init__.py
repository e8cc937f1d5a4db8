# SPDX-License-Identifier: Apache-2.0
"""Generated from protos/internal/keda: the messages of KEDA's external scaler. Only `nervenet.node.services` imports it."""
