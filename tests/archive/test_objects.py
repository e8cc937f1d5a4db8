# SPDX-License-Identifier: Apache-2.0
"""The objects of the archive, without nodes: lines, tables, and what is found in many of them."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pytest

from nervenet.archive.index import FAN, ROW, Place, hash_of, merged, range_of, rows_in
from nervenet.archive.reader import ArchiveReader, Period
from nervenet.archive.record import ArchivedRun, line_of, moment, run_of, summary_of
from nervenet.archive.segment import SegmentName, Writer
from nervenet.node.archiving.archiver import merge_tables
from nervenet.objects import ObjectSink, SinkError, open_sink
from nervenet.records import Close, Outcome, Payload, Start, State
from nervenet.streams.answers import RawEntry
from nervenet.streams.archive import WaitingRun
from nervenet.streams.heads import Head
from nervenet.wire import encode_entry

NOON = 1_795_867_200_000


SMALL = Payload("json", b'{"a":\n1}')


def a_run(workflow_id: str, closed_ms: int, payload: Payload = SMALL) -> ArchivedRun:
    bodies = {
        "start": Start("echo", 1, "3.11", payload, b"seed"),
        "task:one": Outcome(payload, None),
        "close": Close(State.SUCCEEDED, output=payload),
    }
    entries = [
        RawEntry(b"%d-%d" % (closed_ms, n), n, closed_ms, name, encode_entry(body, "n-a"))
        for n, (name, body) in enumerate(bodies.items(), 1)
    ]
    head = Head(
        state=State.SUCCEEDED, owner="n-a", last=entries[-1].id, created_ms=closed_ms - 5, closed_ms=closed_ms,
        definition="echo", version=1, runtime="3.11", labels='{"team": "legal"}',
    )  # fmt: skip
    return ArchivedRun(workflow_id, head, entries, b'{"done":true}')


async def written(sink: ObjectSink, runs: list[ArchivedRun]) -> None:
    writer = Writer()
    for run in runs:
        waiting = WaitingRun(run.head.closed_ms, run.head.run, run.workflow_id)
        if writer.add(waiting, line_of("ns", run), json.dumps(summary_of(run.workflow_id, run.head)).encode()):
            writer.pack()
    for name, data in writer.finish(SegmentName.of(writer.written)).objects:
        await sink.create(name, data)


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        (Payload("json", b'{"a":\r\n [1, 12345678901234567890]}'), {"a": [1, 12345678901234567890]}),
        (Payload("text", "Zoë\nand so".encode()), {"$text": "Zoë\nand so"}),
        (Payload("bytes", b"\x00\xff"), {"$bytes": "AP8="}),
        (Payload("uri", b"s3://b/k"), {"$uri": "s3://b/k"}),
        (Payload("none", b""), None),
    ],
)
def test_a_run_becomes_one_line_and_comes_back_as_it_was(payload: Payload, shown: object) -> None:
    run = a_run("w", NOON, payload)
    line = line_of("ns", run)
    assert line.count(b"\n") == 1
    told = json.loads(line)
    assert told["input"] == told["output"] == told["tasks"][0]["output"] == shown
    back = run_of(line)
    assert back == run


def test_times_are_exact_to_the_millisecond() -> None:
    for ms in (0, 1, 999, NOON, NOON + 123, 4_102_444_800_001):
        run = a_run("w", NOON)
        head = run.head._replace(closed_ms=ms)
        assert run_of(line_of("ns", run._replace(head=head))).head.closed_ms == ms
    assert moment(1_795_867_200_007) == "2026-11-28T12:00:00.007Z"


def test_what_is_no_line_is_refused_in_words() -> None:
    for wrong in (b"{}", b"[]", b"nothing", b'{"journal": [[1]]}'):
        with pytest.raises(ValueError, match=r"no line of an archive|Expecting"):
            run_of(wrong)


def test_rows_are_found_in_the_part_of_a_table_where_they_are_expected() -> None:
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    for count in (1, 7, 500, 20_000):
        ids = [f"w-{chance.random()}" for _ in range(count)]
        table = merged([b"".join(Place(hash_of(each), NOON, 5, 7, n, 9).packed() for n, each in enumerate(ids))])
        assert len(table) == count * ROW
        for n in range(0, count, max(count // 300, 1)):
            wanted = hash_of(ids[n])
            low, high = range_of(count, wanted)
            found, _ = rows_in(table[low * ROW : high * ROW], wanted)
            assert [place.offset for place in found] == [n], f"seed {seed}"
        assert rows_in(table, hash_of("nobody"))[0] == []


async def test_many_batches_merge_into_few_tables_and_every_run_is_found(tmp_path: Path) -> None:
    sink = open_sink(tmp_path.as_uri(), "ns")
    reader = ArchiveReader(sink)
    for batch in range(70):
        await written(sink, [a_run(f"w-{batch}-{n}", NOON + batch * 10 + n) for n in range(5)])
        if batch % 8 == 7:
            await merge_tables(sink)
    tables = await sink.names("index")
    assert len(tables) < 2 * FAN
    for batch in range(70):
        found = await reader.find(f"w-{batch}-3")
        assert found == a_run(f"w-{batch}-3", NOON + batch * 10 + 3)
    assert await reader.find("w-70-3") is None


async def test_a_merge_that_stops_in_the_middle_loses_nothing(tmp_path: Path) -> None:
    sink = open_sink(tmp_path.as_uri(), "ns")
    for batch in range(FAN):
        await written(sink, [a_run(f"w-{batch}", NOON + batch)])
    before = {name: await sink.read(name) for name in await sink.names("index")}
    await merge_tables(sink)
    for name in list(before)[:3]:  # a node died before it had deleted these
        await sink.create(name, before[name])
    reader = ArchiveReader(sink)
    assert [(await reader.find(f"w-{batch}")) is not None for batch in range(FAN)] == [True] * FAN
    await merge_tables(sink)
    assert [(await ArchiveReader(sink).find(f"w-{batch}")) is not None for batch in range(FAN)] == [True] * FAN


async def test_of_several_runs_with_one_id_the_last_is_found(tmp_path: Path) -> None:
    sink = open_sink(tmp_path.as_uri(), "ns")
    for day in range(3):
        await written(sink, [a_run("w", NOON + day * 86_400_000)])
    found = await ArchiveReader(sink).find("w")
    assert found is not None
    assert found.head.closed_ms == NOON + 2 * 86_400_000


async def test_the_last_run_is_found_also_where_batches_of_two_nodes_overlap(tmp_path: Path) -> None:
    sink = open_sink(tmp_path.as_uri(), "ns")
    await written(sink, [a_run("w", NOON), a_run("other", NOON + 500)])
    await written(sink, [a_run("w", NOON + 300)])
    found = await ArchiveReader(sink).find("w")
    assert found is not None
    assert found.head.closed_ms == NOON + 300


async def test_a_batch_that_cannot_be_read_is_an_error_only_if_a_later_run_may_be_in_it(tmp_path: Path) -> None:
    sink = open_sink(tmp_path.as_uri(), "ns")
    for hour in range(3):
        await written(sink, [a_run("w", NOON + hour * 3_600_000)])
    oldest, _, newest = sorted(tmp_path.glob("ns/runs/date=*/*.jsonl.gz"))
    oldest.write_bytes(b"no gzip")
    assert await ArchiveReader(sink).find("w") == a_run("w", NOON + 2 * 3_600_000)
    newest.write_bytes(b"no gzip")
    with pytest.raises((SinkError, ValueError)):
        await ArchiveReader(sink).find("w")
    newest.unlink()  # its owner deleted it
    assert await ArchiveReader(sink).find("w") == a_run("w", NOON + 3_600_000)


async def test_a_list_over_many_objects_reads_a_few_for_each_page(tmp_path: Path) -> None:
    sink = open_sink(tmp_path.as_uri(), "ns")
    for batch in range(30):
        await written(sink, [a_run(f"w-{batch:02}-{n}", NOON + batch * 3_600_000 + n) for n in range(4)])
    reader, reads = ArchiveReader(sink), 0
    real = sink.read

    async def counted(name: str, start: int = 0, end: int | None = None) -> bytes:
        nonlocal reads
        reads += 1
        return await real(name, start, end)

    sink.read = counted  # type: ignore[method-assign]  # it counts
    found, cursor, pages = [], None, 0
    while True:
        reads = 0
        page = await reader.page(50, lambda head: head.closed_ms % 2 == 0, Period(), cursor)
        assert reads <= 8
        found += [row.workflow_id for row in page.rows]
        pages, cursor = pages + 1, page.cursor
        if cursor is None:
            break
    assert found == [f"w-{batch:02}-{n}" for batch in reversed(range(30)) for n in (2, 0)]
    assert pages >= 4
    part = await reader.page(50, lambda head: True, Period(NOON + 3 * 3_600_000, NOON + 5 * 3_600_000))
    assert [row.workflow_id[:4] for row in part.rows] == ["w-04"] * 4 + ["w-03"] * 4


async def test_every_gzip_reader_reads_the_lines(tmp_path: Path) -> None:
    sink = open_sink(tmp_path.as_uri(), "ns")
    big = Payload("json", json.dumps("x" * 40_000).encode())
    await written(sink, [a_run(f"w-{n}", NOON + n, big) for n in range(10)])
    (path,) = tmp_path.glob("ns/runs/date=*/*.jsonl.gz")
    with gzip.open(path) as file:
        assert [json.loads(line)["workflow_id"] for line in file] == [f"w-{n}" for n in range(10)]
    found = await ArchiveReader(sink).find("w-7")
    assert found is not None
    assert found.workflow_id == "w-7"
