# SPDX-License-Identifier: Apache-2.0
"""`python -m examples.licence_audit` is the demo."""

import sys

from .demo import main

if __name__ == "__main__":
    sys.exit(main())
