# SPDX-License-Identifier: Apache-2.0
"""One module for each command: ask the mesh, pass the answer to `render`. No formatting and no generated code here."""
