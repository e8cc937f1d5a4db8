# SPDX-License-Identifier: Apache-2.0
"""gRPC plumbing: how the contract is dialed (`channels`), served (`server`, `guard`) and refused (`status`)."""
