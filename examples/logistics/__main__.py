# SPDX-License-Identifier: Apache-2.0
"""`python -m examples.logistics` is `make logistics`."""

import os
import sys

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # else its core writes between our lines when a node is started again

from .run import main  # gRPC reads the variable when it is imported

if __name__ == "__main__":
    sys.exit(main())
