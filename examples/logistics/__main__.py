# SPDX-License-Identifier: Apache-2.0
"""`python -m examples.logistics` is `make logistics`."""

import sys

from .run import main

if __name__ == "__main__":
    sys.exit(main())
