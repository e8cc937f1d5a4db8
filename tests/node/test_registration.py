# SPDX-License-Identifier: Apache-2.0
"""When a node tells the registry that it is full, or that it has room again."""

from __future__ import annotations

import pytest

from nervenet.node.registration import is_room_news


@pytest.mark.parametrize(
    ("told_full", "full", "owned", "news"),
    [
        (False, False, 10, False),
        (False, True, 1000, True),
        (False, True, 10, True),  # its memory is full
        (True, True, 1000, False),
        (True, False, 999, False),  # one has ended: the next start would fill it again
        (True, False, 951, False),
        (True, False, 950, True),
    ],
)
def test_a_full_node_says_so_at_once_and_that_it_has_room_a_little_later(
    told_full: bool, full: bool, owned: int, news: bool
) -> None:
    assert is_room_news(told_full=told_full, full=full, owned=owned, most=1000) is news
