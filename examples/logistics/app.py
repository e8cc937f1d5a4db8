# SPDX-License-Identifier: Apache-2.0
"""What nodes and agents load: `nervenet node examples.logistics.app`, `nervenet agent examples.logistics.app`."""

from .workflow import mesh, shipment_update

__all__ = ["mesh", "shipment_update"]
