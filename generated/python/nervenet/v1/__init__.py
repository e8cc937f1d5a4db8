# SPDX-License-Identifier: Apache-2.0
"""Generated from protos/nervenet/v1 by `make generate`; do not edit."""
