# SPDX-License-Identifier: Apache-2.0
"""One module per command: ask the mesh, hand the answer to `render`. No formatting and no generated code here."""
