# SPDX-License-Identifier: Apache-2.0
"""Generated from protos/internal/etcd/etcd.proto (`make generate`); only `nervenet.registry.etcd` imports it."""
