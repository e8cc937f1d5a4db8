# SPDX-License-Identifier: Apache-2.0
"""Keys: where everything lies, and which ids may become part of a key."""

from __future__ import annotations

import re

import pytest

from nervenet.streams.keys import (
    Keys,
    check_namespace,
    check_signal_id,
    check_workflow_id,
    escalation_id,
    parse_escalation_id,
)


def test_all_keys_of_a_workflow_share_a_slot() -> None:
    keys = Keys("acme")
    workflow = (keys.head, keys.journal, keys.live, keys.checkpoints, keys.view)
    tags = {re.search(rb"\{(.*?)\}", key("a/b:c@d")).group(1) for key in workflow}  # type: ignore[union-attr]
    assert tags == {b"a/b:c@d"}
    assert keys.written("w") == (keys.head("w"), keys.journal("w"), keys.checkpoints("w"))


def test_the_layout_is_the_one_other_languages_read() -> None:
    keys = Keys("acme")
    assert keys.journal("review-7") == b"nn:acme:wf:{review-7}:journal"
    assert keys.events("review-7") == b"nn:acme:events:{review-7}"
    assert keys.queue("ocr") == b"nn:acme:queue:{ocr}"
    assert keys.queue("ocr", "9f2c") == b"nn:acme:queue:{ocr/9f2c}"
    assert keys.queues("ocr") == b"nn:acme:queues:{ocr}"
    assert keys.inbox("ocr-abcdefgh") == b"nn:acme:inbox:{ocr-abcdefgh}"
    assert keys.wake("n-abcdefgh") == b"nn:acme:wake:{n-abcdefgh}"
    assert keys.owned("n-abcdefgh") == b"nn:acme:owned:{n-abcdefgh}"
    assert keys.closed("2026-11-24") == b"nn:acme:closed:{2026-11-24}"
    assert keys.definition("review") == b"nn:acme:definition:{review}"
    assert (keys.running, keys.escalations) == (b"nn:acme:running", b"nn:acme:escalations")


def test_a_key_says_whose_it_is() -> None:
    keys = Keys("acme")
    assert keys.tag(keys.events("a/b:c")) == "a/b:c"
    assert keys.tag(keys.owned("n-abcdefgh")) == "n-abcdefgh"


@pytest.mark.parametrize("good", ["a", "7", "review-118", "task/9f", "mail:ann@example.org", "a" * 200])
def test_workflow_ids_that_pass(good: str) -> None:
    assert check_workflow_id(good) == good
    assert check_signal_id(good) == good


@pytest.mark.parametrize("bad", ["", "-a", "a b", "a{b}", "a#1", "a~2", "é", "a\n", "a" * 201])
def test_workflow_ids_that_would_break_a_key_are_refused_with_a_sentence(bad: str) -> None:
    with pytest.raises(ValueError, match="cannot be a workflow id: it starts with a letter or digit"):
        check_workflow_id(bad)
    with pytest.raises(ValueError, match="cannot be a signal id"):
        check_signal_id(bad)


@pytest.mark.parametrize("bad", ["", "a:b", "a{", "}", "*", "a" * 64])
def test_namespaces_that_would_reach_into_others_are_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="cannot be a namespace"):
        check_namespace(bad)


def test_escalation_ids_survive_slashes_in_the_workflow_id() -> None:
    text = escalation_id("task/9f/page", "ask.2", 3)
    assert text == "task/9f/page/ask.2#3"
    assert parse_escalation_id(text) == ("task/9f/page", "ask.2", 3)
    for bad in ("review-7", "review-7/ask", "review-7/#1", "/ask#1", "review-7/ask#x"):
        with pytest.raises(ValueError, match=r"cannot be|not an escalation id"):
            parse_escalation_id(bad)
