# SPDX-License-Identifier: Apache-2.0
"""What this process calls itself in traces and metrics."""

from __future__ import annotations

from opentelemetry.sdk.resources import OTELResourceDetector, Resource


def resource(service_name: str, role: str, instance_id: str) -> Resource:
    """Our names are defaults: OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES are stronger."""
    mine = {"service.name": service_name, "service.instance.id": instance_id, "nervenet.role": role}
    said = OTELResourceDetector().detect().attributes
    return Resource.create({key: value for key, value in mine.items() if key not in said})
