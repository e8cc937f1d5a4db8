# SPDX-License-Identifier: Apache-2.0
"""gRPC: channels to nodes and agents (`channels`), servers (`server`, `guard`), errors as statuses (`status`)."""

from nervenet import grpc_import  # noqa: F401  # before gRPC's other packages, which import grpc
