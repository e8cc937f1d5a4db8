# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.chaos`; exit code 1 on violations."""

import sys

from tests.chaos.drive import main

if __name__ == "__main__":
    sys.exit(main())
