# SPDX-License-Identifier: Apache-2.0
"""What is packed comes out again, in order, until its page is old enough."""

from __future__ import annotations

import gc

from nervenet.streams.pages import Pages

SPAN = 10


def record(n: int, size: int = 20) -> tuple[str, int, bytes, list[int | str | bytes], None]:
    return f"w-{n}", n, bytes(size), [1 << 50, "täsk:\ud800", b"\xff"], None


def test_records_come_out_as_they_went_in_over_many_pages() -> None:
    pages = Pages(SPAN)
    all_of_it = [record(n, n * 997 % 9000) for n in range(200)]
    for n, one in enumerate(all_of_it):
        pages.put(n // 50, one, n)
    assert pages.size == sum(range(200))
    assert list(pages.records()) == all_of_it


def test_nothing_goes_before_its_time_and_all_of_it_later() -> None:
    pages = Pages(SPAN)
    for now in range(100):
        pages.put(now, record(now), 1)
        pages.forget(now - 50)
        left = [n for _, n, *_ in pages.records()]
        assert left == list(range(left[0], now + 1))
        assert max(0, now - 50 - SPAN) <= left[0] <= max(0, now - 50)
    pages.forget(100)
    assert (list(pages.records()), pages.size) == ([], 0)


def test_the_oldest_page_goes_first_and_at_last_the_one_that_is_written() -> None:
    pages = Pages(SPAN)
    for now in (0, 5, 20):
        pages.put(now, record(now), 1)
    pages.forget_oldest()
    assert list(pages.records()) == [record(20)]
    pages.forget_oldest()
    pages.forget_oldest()
    assert (list(pages.records()), pages.size) == ([], 0)
    pages.put(21, record(21), 1)
    assert list(pages.records()) == [record(21)]


def test_a_page_goes_by_the_number_of_its_last_record_too() -> None:
    pages = Pages(SPAN)
    assert (pages.count, pages.oldest) == (0, 0)
    for now in (0, 5, 20):
        pages.put(now, record(now), 1)
    assert (pages.count, pages.oldest) == (3, 2)
    pages.forget_oldest()
    assert (pages.count, pages.oldest) == (3, 3)
    pages.forget_oldest()
    assert (pages.count, pages.oldest) == (3, 0)


def test_who_reads_sees_what_was_there_when_he_began() -> None:
    pages = Pages(SPAN)
    for now in (0, 20):
        pages.put(now, record(now), 1)
    reading = pages.records()
    pages.put(20, record(21), 1)
    pages.forget(100)
    assert list(reading) == [record(0), record(20)]


def test_the_collector_has_nothing_to_look_at() -> None:
    pages = Pages(SPAN)
    gc.collect()
    before = len(gc.get_objects())
    for n in range(1_000):
        pages.put(0, record(n), 1)
    gc.collect()
    assert len(gc.get_objects()) - before < 50
