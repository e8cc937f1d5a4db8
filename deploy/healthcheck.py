# SPDX-License-Identifier: Apache-2.0
"""Ask the nervenet process in this container whether it serves: exit code 0 if it does, else 1 and the reason.

It asks `grpc.health.v1` at the port of NERVENET_LISTEN, so one check fits nodes and agents. Settings as the process
has them: NERVENET_TLS (`off`, or the CA file that the certificate is checked against).
"""

import os
import sys
from pathlib import Path

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

SECONDS = 2.0


def serving(address: str, tls: str = "off") -> bool:
    """Whether the process at ``address`` says SERVING; raises grpc.RpcError when nobody answers in time."""
    if tls == "off":
        channel = grpc.insecure_channel(address)
    else:
        authority = Path(tls).read_bytes() if tls != "on" else None
        channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(authority))
    with channel:
        answer = HealthStub(channel).Check(HealthCheckRequest(), timeout=SECONDS)
    return bool(answer.status == HealthCheckResponse.SERVING)


if __name__ == "__main__":
    port = os.environ.get("NERVENET_LISTEN", ":7700").rpartition(":")[2]
    try:
        sys.exit(0 if serving(f"localhost:{port}", os.environ.get("NERVENET_TLS", "off")) else "not serving")
    except grpc.RpcError as error:
        sys.exit(f"no answer at port {port}: {error}")
