# SPDX-License-Identifier: Apache-2.0
"""Ask the nervenet process in this container whether it serves: exit code 0 if it does, else 1 and the reason.

    python /opt/healthcheck.py              it wants calls: not while it drains, or while a part of it keeps failing
    python /opt/healthcheck.py liveness     it answers

It asks `grpc.health.v1` at the port of NERVENET_LISTEN, so one check fits nodes and agents. Settings as the process
has them: NERVENET_TLS (`off`, or the CA file that the certificate is checked against), NERVENET_TLS_CERT and NERVENET_TLS_KEY (what
it shows itself), NERVENET_TLS_NAME (the name that the certificate must carry; else localhost).
"""

import os
import sys
from pathlib import Path

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

SECONDS = 2.0


def serving(address: str, tls: str = "off", service: str = "") -> bool:
    """Whether the process at ``address`` says SERVING; raises grpc.RpcError when nobody answers in time."""
    with _channel(address, tls) as channel:
        answer = HealthStub(channel).Check(HealthCheckRequest(service=service), timeout=SECONDS)
    return bool(answer.status == HealthCheckResponse.SERVING)


def _channel(address: str, tls: str) -> grpc.Channel:
    if tls == "off":
        return grpc.insecure_channel(address)
    authority = Path(tls).read_bytes() if tls != "on" else None
    pair = [_file("NERVENET_TLS_KEY"), _file("NERVENET_TLS_CERT")]
    name = os.environ.get("NERVENET_TLS_NAME")
    options = [("grpc.ssl_target_name_override", name)] if name else []
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(authority, *pair), options)


def _file(variable: str) -> bytes | None:
    path = os.environ.get(variable)
    return Path(path).read_bytes() if path else None


if __name__ == "__main__":
    port = os.environ.get("NERVENET_LISTEN", ":7700").rpartition(":")[2]
    try:
        asked = sys.argv[1] if len(sys.argv) > 1 else ""
        sys.exit(0 if serving(f"localhost:{port}", os.environ.get("NERVENET_TLS", "off"), asked) else "not serving")
    except grpc.RpcError as error:
        sys.exit(f"no answer at port {port}: {error}")
