# SPDX-License-Identifier: Apache-2.0
"""Where handlers run: on the event loop, in threads, in processes. They know handlers, but neither Redis nor gRPC."""
