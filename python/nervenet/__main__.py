# SPDX-License-Identifier: Apache-2.0
"""`python -m nervenet`: the same as the command `nervenet`, for where the scripts' folder is not on PATH."""

import sys

from nervenet.cli import main

sys.exit(main())
