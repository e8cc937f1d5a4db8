# SPDX-License-Identifier: Apache-2.0
"""Contract messages → lines, as tables: what a terminal of a hundred columns shows, and what a pipe gets."""

from __future__ import annotations

import argparse
import json
import time

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from nervenet.cli.commands.listing import FILTERS
from nervenet.cli.render import agents, escalations, events, text, timeline, waits, workflows
from nervenet.cli.render.plain_json import plain_json
from nervenet.cli.render.table import Column, ids, prose, some, table
from nervenet.cli.render.text import View
from nervenet.cli.values import repeated
from nervenet.v1 import agent_pb2, common_pb2, task_pb2
from nervenet.v1 import coordinator_service_pb2 as service
from nervenet.v1 import registry_service_pb2 as registry
from nervenet.v1 import workflow_pb2 as pb

NOW = 1_700_000_000_000
TERMINAL = View(people=True, width=100, now_ms=NOW)
PIPE = View(people=False, width=0, now_ms=NOW)


def at(seconds: float) -> Timestamp:
    """That many seconds from now."""
    ms = NOW + round(seconds * 1000)
    return Timestamp(seconds=ms // 1000, nanos=ms % 1000 * 1_000_000)


def json_of(value: str) -> common_pb2.Payload:
    return common_pb2.Payload(json=value)


FAILED = pb.Workflow(
    workflow_id="audit-2024-11-02-licences-of-numpy-q1-numpy",
    definition="audit",
    version=2,
    state=pb.WORKFLOW_STATE_FAILED,
    start_time=at(-240),
    close_time=at(-230.9),
    at="extract",
    note="RateLimited: 429 from api (5 attempts)",
)
BLOCKED = pb.Workflow(
    workflow_id="review-118",
    definition="review",
    version=1,
    state=pb.WORKFLOW_STATE_BLOCKED,
    start_time=at(-7300),
    at="validate",
    blocked=pb.Blocked(
        expected="task:validate", found="task:translate", where="review.py:27", agreed_steps=3, time=at(-60)
    ),
)
LIST = service.ListWorkflowsResponse(workflows=[FAILED, BLOCKED], namespace_count=214)


def plain(lines: object) -> list[str]:
    return [line if isinstance(line, str) else line.plain for line in lines]  # type: ignore[attr-defined]


# ── words ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("seconds", "says"),
    [(0, "0.00 s"), (0.384, "0.38 s"), (9.1, "9.10 s"), (12.34, "12.3 s"), (240, "4 min"), (7300, "2 h"), (6e5, "7 d")],
)
def test_spans(seconds: float, says: str) -> None:
    assert text.span(seconds) == says


def test_text_from_elsewhere_cannot_repaint_the_terminal() -> None:
    assert text.clean("red\x1b[31m\r\nnext\u202egnp") == "red [31m next gnp"


@pytest.mark.parametrize(
    ("payload", "line", "data"),
    [
        (json_of('{"a": 9007199254740993000}'), '{"a": 9007199254740993000}', '{"a": 9007199254740993000}'),
        (common_pb2.Payload(text="two\nlines"), "two lines", "two\nlines"),
        (common_pb2.Payload(data=b"\x00\xff"), "(2 B of bytes)", b"\x00\xff"),
        (common_pb2.Payload(), "null", "null"),
        (common_pb2.Payload(size_bytes=3 << 20), "(3 MiB)", "null"),
    ],
)
def test_payloads(payload: common_pb2.Payload, line: str, data: str | bytes) -> None:
    assert text.payload(payload) == line
    assert text.value(payload) == data


# ── tables ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_narrow_terminal_shortens_prose_and_never_an_id() -> None:
    columns = (ids("ID"), Column("STATE"), prose("NOTE"))
    an_id = "a" * 30 + "b" * 30
    rows = [(an_id, "✓ succeeded", "words " * 20)]
    narrow = table(columns, rows, View(people=True, width=60, now_ms=NOW))
    assert an_id in narrow[1].plain and "…" in narrow[1].plain and "✓ succeeded" in narrow[1].plain
    assert an_id in table(columns, rows, View(people=True, width=20, now_ms=NOW))[1].plain
    assert narrow[1].plain.endswith("…") and len(table(columns, rows, PIPE)[1].plain) > 160


def test_of_many_names_those_that_fit_are_whole() -> None:
    names = ", ".join(f"capability-{n} v1" for n in range(9))
    assert some(names, 40) == "capability-0 v1, capability-1 v1, +7"
    assert some(names, 3) == "capability-0 v1, +8" and some(names, 500) == names


def test_wide_characters_keep_their_columns() -> None:
    lines = plain(table((prose("NAME"), Column("N")), [("日本", "1"), ("ab", "2")], TERMINAL))
    assert lines == ["NAME  N", "日本  1", "ab    2"]


# ── workflows ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_list_on_a_terminal() -> None:
    assert plain(workflows.listed(LIST, View(True, 132, NOW))) == [
        "ID                                           DEFINITION  STATE      STARTED    AT        WAITS FOR / NOTE",
        "audit-2024-11-02-licences-of-numpy-q1-numpy  audit v2    ✗ failed   4 min ago  extract   RateLimited: 429 from api (5 attempts)",
        "review-118                                   review v1   ! blocked  2 h ago    validate  code and journal disagree, review.py:27",
    ]


def test_a_list_on_a_narrow_terminal_leaves_columns_out_the_least_telling_first() -> None:
    def titles(width: int) -> str:
        return plain(workflows.listed(LIST, View(True, width, NOW)))[0].replace("WAITS FOR / NOTE", "NOTE")

    assert titles(140).split() == ["ID", "DEFINITION", "STATE", "STARTED", "TOOK", "AT", "NOTE"]
    assert titles(125).split() == ["ID", "DEFINITION", "STATE", "STARTED", "NOTE"]
    assert titles(112).split() == ["ID", "STATE", "STARTED", "NOTE"]
    assert titles(70).split() == ["ID", "STATE", "NOTE"]
    assert all(FAILED.workflow_id in plain(workflows.listed(LIST, View(True, w, NOW)))[1] for w in (30, 60, 100))


def test_list_in_a_pipe_has_whole_ids_and_iso_times() -> None:
    header, failed, blocked = plain(workflows.listed(LIST, PIPE))
    assert header.split()[:6] == ["ID", "DEFINITION", "STATE", "STARTED", "TOOK", "AT"]
    assert failed.startswith("audit-2024-11-02-licences-of-numpy-q1-numpy  audit v2")
    assert "2023-11-14T22:09:20.000Z" in failed
    assert blocked.endswith("code and journal disagree, review.py:27")


RATE = common_pb2.Failure(type="RateLimited", message="429", code=common_pb2.FAILURE_CODE_RATE_LIMITED)


@pytest.mark.parametrize(
    ("wait", "now", "always"),
    [
        (
            pb.Wait(kind=pb.WAIT_KIND_SIGNAL, count=1, signal="paid", since_time=at(-10_800)),
            "waits for signal paid, 3 h",
            "waits for signal paid since 2023-11-14T19:13:20.000Z",
        ),
        (
            pb.Wait(kind=pb.WAIT_KIND_SLEEP, count=1, due_time=at(7_200)),
            f"sleeps until {waits.moment(NOW + 7_200_000, NOW)}",
            "sleeps until 2023-11-15T00:13:20.000Z",
        ),
        (
            pb.Wait(kind=pb.WAIT_KIND_TIME_LIMIT, count=1, due_time=at(60)),
            f"gives up at {waits.moment(NOW + 60_000, NOW)}",
            "gives up at 2023-11-14T22:14:20.000Z",
        ),
        (
            pb.Wait(kind=pb.WAIT_KIND_HUMAN, count=1, question="Send it?", due_time=at(6 * 86_400 + 5)),
            "asks a human: Send it? (due in 6 d)",
            "asks a human: Send it? (due 2023-11-20T22:13:25.000Z)",
        ),
        (
            pb.Wait(
                kind=pb.WAIT_KIND_QUEUED, count=1, step="fetch", since_time=at(-720), reason="no live agent serves it"
            ),
            "fetch queued 12 min: no live agent serves it",
            "fetch queued since 2023-11-14T22:01:20.000Z: no live agent serves it",
        ),
        (
            pb.Wait(
                kind=pb.WAIT_KIND_RUNNING,
                count=1,
                step="fetch",
                agent_id="ocr-3",
                since_time=at(-40),
                attempt=2,
                max_attempts=5,
            ),
            "fetch running 40 s on ocr-3 (attempt 2 of 5)",
            "fetch running since 2023-11-14T22:12:40.000Z on ocr-3 (attempt 2 of 5)",
        ),
        (
            pb.Wait(
                kind=pb.WAIT_KIND_RUNNING,
                count=3,
                step="fetch",
                capability="fetch",
                agent_id="ocr-3",
                since_time=at(-900),
                alive_time=at(-720),
                stuck=True,
            ),
            "fetch ×3 running without a sign of life, the oldest for 12 min on ocr-3",
            "fetch ×3 running without a sign of life, the oldest since 2023-11-14T22:01:20.000Z on ocr-3",
        ),
        (
            pb.Wait(kind=pb.WAIT_KIND_RETRY, count=1, step="fetch", due_time=at(8), last_failure=RATE),
            "retries fetch in 8 s after RateLimited: 429",
            "retries fetch at 2023-11-14T22:13:28.000Z after RateLimited: 429",
        ),
        (
            pb.Wait(kind=pb.WAIT_KIND_CHILD, count=2, workflow_id="w/audit", since_time=at(-240)),
            "waits for child w/audit and 1 more, the oldest 4 min",
            "waits for child w/audit and 1 more, the oldest since 2023-11-14T22:09:20.000Z",
        ),
        (
            pb.Wait(kind=pb.WAIT_KIND_BLOCKED, count=1, since_time=at(-60), reason="code and journal disagree, a.py:3"),
            "blocked 60 s: code and journal disagree, a.py:3",
            "blocked since 2023-11-14T22:12:20.000Z: code and journal disagree, a.py:3",
        ),
        (pb.Wait(kind=99), "waits for something that this release does not know (99)", ""),  # type: ignore[arg-type]
    ],
)
def test_what_a_workflow_waits_for_in_words(wait: pb.Wait, now: str, always: str) -> None:
    assert waits.words(wait, TERMINAL) == now
    assert waits.words(wait, PIPE) == (always or now)


def test_a_list_names_the_most_urgent_wait_and_counts_the_others() -> None:
    lonely = pb.Wait(kind=pb.WAIT_KIND_QUEUED, count=1, step="fetch", reason="no live agent serves it", stuck=True)
    one = pb.Workflow(workflow_id="w", waits=[lonely, pb.Wait(kind=pb.WAIT_KIND_SIGNAL, count=2)], more_waits=3)
    said = waits.summary(one, TERMINAL)
    assert (
        said is not None and said.plain == "fetch queued: no live agent serves it, and 5 more" and said.style == "red"
    )
    silent = waits.summary(pb.Workflow(node_id="n-1", partial=True), TERMINAL)
    assert silent is not None and silent.plain == "its node n-1 does not answer"
    assert waits.summary(pb.Workflow(), TERMINAL) is None


@pytest.mark.parametrize(
    ("response", "wanted", "filtered", "says"),
    [
        (LIST, (), False, "2 of 214."),
        (
            service.ListWorkflowsResponse(
                workflows=[FAILED],
                namespace_count=9,
                state_counts=[
                    service.StateCount(state=pb.WORKFLOW_STATE_FAILED, count=1),
                    service.StateCount(state=pb.WORKFLOW_STATE_WAITING_FOR_HUMAN, count=2),
                ],
                uncounted=6,
            ),
            (),
            False,
            "1 of 9: 2 waiting for a human, 1 failed; 6 older ones not counted.",
        ),
        (
            service.ListWorkflowsResponse(workflows=[FAILED], namespace_count=3, next_page_token="t0"),
            (),
            False,
            "1 of 3. More: nervenet list --next t0",
        ),
        (
            service.ListWorkflowsResponse(namespace_count=214),
            ("FAILED", "BLOCKED"),
            False,
            "No workflow is failed or blocked in namespace default; 214 in other states.",
        ),
        (service.ListWorkflowsResponse(), (), False, "No workflow in namespace default yet. Start one"),
        (service.ListWorkflowsResponse(namespace_count=1), (), True, "matches; 1 other."),
    ],
)
def test_what_a_list_leaves_out(
    response: service.ListWorkflowsResponse, wanted: tuple[str, ...], filtered: bool, says: str
) -> None:
    assert says in workflows.list_footer(response, "default", wanted=wanted, filtered=filtered)


def test_the_next_page_has_the_filters_of_this_one() -> None:
    args = argparse.Namespace(
        state=["failed"], definition=None, label=["team=legal"], since="2h", stuck="", retrying=True, slow="3h",
        waiting_for="paid",
    )  # fmt: skip
    command = repeated("nervenet list", args, *FILTERS)
    page = service.ListWorkflowsResponse(workflows=[FAILED], namespace_count=3, next_page_token="t0")
    footer = workflows.list_footer(page, "default", command=command)
    asked = "--state failed --label team=legal --since 2h --stuck --retrying --slow 3h --waiting-for paid"
    assert footer == f"1 of 3. More: nervenet list {asked} --next t0"


SHOWN = pb.Workflow(
    workflow_id="review-118",
    definition="review",
    version=1,
    state=pb.WORKFLOW_STATE_SUCCEEDED,
    start_time=at(-100),
    close_time=at(-90.98),
    trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
    node_id="n-7c2",
    adoptions=1,
    output=json_of('{"text": "MIT, 3 holders"}'),
    tasks=[
        task_pb2.Task(
            step="extract",
            capability="extract",
            state=task_pb2.TASK_STATE_SUCCEEDED,
            attempt=2,
            agent_id="go-extract-2",
            schedule_time=at(-99.99),
            start_time=at(-99.99),
            end_time=at(-95.89),
            failed_attempts=[
                common_pb2.Failure(
                    code=common_pb2.FAILURE_CODE_APPLICATION, type="RateLimited", message="429", attempt=1
                )
            ],
        ),
        task_pb2.Task(
            step="validate",
            capability="validate",
            state=task_pb2.TASK_STATE_QUEUED,
            schedule_time=at(-95),
            waits_for="no agent serves it",
        ),
        task_pb2.Task(
            step="ask",
            state=task_pb2.TASK_STATE_WAITING_FOR_HUMAN,
            schedule_time=at(-95),
            escalation_id="review-118/ask#1",
        ),
        task_pb2.Task(
            step="ask.2",
            state=task_pb2.TASK_STATE_SUCCEEDED,
            schedule_time=at(-95),
            end_time=at(-93),
            escalation_id="review-118/ask.2#1",
        ),
        task_pb2.Task(
            step="summarize",
            capability="summarize",
            state=task_pb2.TASK_STATE_SUCCEEDED,
            agent_id="summarize-1",
            start_time=at(-91.37),
            end_time=at(-90.98),
            usage=[common_pb2.TokenUsage(model="m", input_tokens=1000, output_tokens=200)],
        ),
    ],
)


def test_show_on_a_terminal_draws_bars_on_one_scale() -> None:
    said = pb.Escalation(
        state=pb.ESCALATION_STATE_RESOLVED,
        question=QUESTION,
        resolution=pb.EscalationResolution(
            action=pb.ESCALATION_ACTION_COMPLETE, value=json_of('"yes"'), resolver="ana@example", comment="known issue"
        ),
    )
    wish = timeline.Wish(decided={"review-118/ask.2#1": said})
    lines = plain(timeline.shown(SHOWN, View(True, 160, NOW), wish))
    title, header, extract, validate, ask, asked, summarize, result = lines
    assert title == (
        "✓ review-118   succeeded   review v1   9.02 s   trace 4bf92f3577b34da6a3ce929d0e0e4736   node n-7c2 (adopted once)"
    )
    assert header.split() == ["START", "STEP", "AGENT"]  # a node of an earlier release tells no parts of time
    assert (
        extract.startswith("    0.01  " + "━" * 13 + "┥" + " " * 18) and "✓ extract    go-extract-2" in extract
    )  # 32 for 9.02 s
    assert extract.endswith("attempt 2 (1: RateLimited: 429)")
    assert "┄" in validate and validate.endswith("waits: no agent serves it")
    assert ask.endswith("waits for a human: review-118/ask")
    assert "ana@example" in asked and asked.endswith("“Accept in spite of these?” → yes, “known issue”")
    assert summarize.lstrip().startswith("8.63") and summarize.endswith("1.2k tokens")
    assert result == 'result {"text": "MIT, 3 holders"}'


def span_of(phase: str, start: float, end: float | None) -> task_pb2.TaskSpan:
    return task_pb2.TaskSpan(
        phase=f"TASK_PHASE_{phase}",
        start_time=at(start),
        end_time=None if end is None else at(end),
    )


def test_the_parts_of_a_steps_time_are_drawn_apart_and_have_their_own_columns() -> None:
    one = pb.Workflow(workflow_id="w", definition="d", state=pb.WORKFLOW_STATE_RUNNING, start_time=at(-8))
    step = one.tasks.add(
        step="fetch", capability="fetch", state=task_pb2.TASK_STATE_RUNNING, agent_id="ocr-3", attempt=2
    )
    step.schedule_time.CopyFrom(at(-8))
    step.spans.extend([span_of("QUEUED", -8, -6), span_of("RUNNING", -6, -4), span_of("RETRY", -4, -2)])
    step.spans.append(span_of("RUNNING", -2, None))
    step.queued_duration.FromSeconds(2)
    step.run_duration.FromSeconds(2)
    step.retry_duration.FromSeconds(2)
    step.failed_attempts.add(message="429", attempt=1)
    _, header, line = plain(timeline.shown(one, View(True, 100, NOW)))
    assert header.split() == ["START", "STEP", "AGENT", "┄", "QUEUED", "━", "RAN", "·", "RETRY"]
    assert line == "    0.00  ┄┄┄┄┄━━━━━·····━━━━━  ● fetch  ocr-3  2.00 s    4.00 s  2.00 s   attempt 2 (1: 429)"


MANY = pb.Workflow(
    workflow_id="big",
    definition="fan",
    state=pb.WORKFLOW_STATE_FAILED,
    start_time=at(-10),
    close_time=at(-5),
    tasks=[
        task_pb2.Task(
            step="fetch" if n == 1 else f"fetch.{n}",
            capability="fetch",
            state=task_pb2.TASK_STATE_FAILED if n == 14 else task_pb2.TASK_STATE_SUCCEEDED,
            agent_id="ocr-3",
            schedule_time=at(-10),
            start_time=at(-9),
            end_time=at(-8 + n / 100),
        )
        for n in range(1, 301)
    ],
)
MANY.tasks[13].failure.CopyFrom(
    common_pb2.Failure(
        type="BadItem",
        message="no price",
        stack_trace='  File "/app/shop.py", line 7, in fetch\n    return price(item)\n'
        '  File "/app/shop.py", line 12, in price\n    raise BadItem("no price")\n',
    )
)
MANY.tasks[13].input.CopyFrom(json_of('{"item": 14}'))


def test_equal_steps_fold_and_what_failed_keeps_its_line() -> None:
    _, _, fold, failed = plain(timeline.shown(MANY, TERMINAL))
    assert "fetch ×300: 299 ✓ 1 ✗ → fetch.14" in fold and "✗ fetch.14" in failed and "BadItem: no price" in failed
    assert timeline.hint(MANY, timeline.Wish()) == "1 step has failed attempts: nervenet show big --failed --input"
    assert len(timeline.shown(MANY, TERMINAL, timeline.Wish(all=True))) == 302
    assert len(timeline.shown(MANY, PIPE)) == 302  # a pipe gets everything


def test_failed_shows_the_lines_and_the_input_of_what_failed_alone() -> None:
    lines = plain(timeline.shown(MANY, TERMINAL, timeline.Wish(failed=True, input_steps=["fetch.14"])))
    assert lines[2].split()[2:4] == ["✗", "fetch.14"]
    assert lines[3:] == [
        "fetch.14: BadItem: no price  on ocr-3",
        "    at /app/shop.py:7 in fetch: return price(item)",
        '    at /app/shop.py:12 in price: raise BadItem("no price")',
        'fetch.14 input {"item": 14}',
    ]
    assert "No step has failed." in plain(timeline.shown(BLOCKED, TERMINAL, timeline.Wish(failed=True)))


def test_slowest_shows_those_that_took_longest() -> None:
    lines = plain(timeline.shown(MANY, TERMINAL, timeline.Wish(slowest=3)))
    assert [line.split()[-2] for line in lines[2:]] == ["fetch.300", "fetch.299", "fetch.298"]


def test_what_is_no_step_has_a_line_too() -> None:
    one = pb.Workflow(workflow_id="w", definition="d", state=pb.WORKFLOW_STATE_RUNNING, start_time=at(-100))
    one.waits.add(kind=pb.WAIT_KIND_SIGNAL, count=1, signal="paid", since_time=at(-100))
    one.waits.add(kind=pb.WAIT_KIND_TIME_LIMIT, count=1, step="1", since_time=at(-50), due_time=at(3600))
    one.unread_signals.add(signal="audited", count=2, oldest_time=at(-240))
    _, signal, limit, unread = plain(timeline.shown(one, TERMINAL))
    assert signal.startswith("    0.00  ┄┄┄┄") and signal.endswith(
        "waits for signal paid, 1 min".replace("1 min", "2 min")
    )
    assert limit.startswith("   50.00  ") and f"gives up at {waits.moment(NOW + 3_600_000, NOW)}" in limit
    assert unread.endswith("2 signals audited unread, the oldest 4 min")


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (json_of('{"a": 9007199254740993000, "b": [1.5, "x"]}'), {"a": 9007199254740993000, "b": [1.5, "x"]}),
        (json_of('"Ada"'), "Ada"),
        (common_pb2.Payload(text="two\nlines"), "two\nlines"),
        (common_pb2.Payload(data=b"\x00\xff"), {"data": "AP8="}),
        (common_pb2.Payload(uri="s3://a/b", size_bytes=7), {"uri": "s3://a/b", "sizeBytes": 7}),
        (common_pb2.Payload(size_bytes=3), {"sizeBytes": 3}),
        (common_pb2.Payload(), None),
    ],
)
def test_json_has_plain_values(payload: common_pb2.Payload, says: object) -> None:
    found = json.loads(
        plain_json(
            pb.Workflow(
                workflow_id="w", input=payload, journal_entries=12, state="WORKFLOW_STATE_FAILED", labels={"k": "v"}
            )
        )
    )
    assert found == {
        "workflowId": "w",
        "input": says,
        "journalEntries": 12,
        "state": "WORKFLOW_STATE_FAILED",
        "labels": {"k": "v"},
    }
    assert json.loads(plain_json(service.SignalWorkflowRequest(workflow_id="w"))) == {"workflowId": "w"}
    assert json.loads(plain_json(MANY.tasks[0]))["startTime"] == "2023-11-14T22:13:11Z"


def test_show_in_a_pipe_has_no_bars_but_times() -> None:
    lines = plain(timeline.shown(SHOWN, PIPE))
    assert "trace 4bf92f3577b34da6a3ce929d0e0e4736" in lines[0]
    assert lines[1].split()[:4] == ["STEP", "STATE", "CAPABILITY", "AGENT"]
    assert "2023-11-14T22:11:40.010Z" in lines[2]
    assert not any("━" in line for line in lines)


def test_a_blocked_workflow_shows_both_columns() -> None:
    since = text.clock(NOW - 60_000)[:8]
    lines = plain(timeline.shown(BLOCKED, TERMINAL))
    assert lines[1:] == [
        f"review-118 is BLOCKED: the code and the journal disagree since {since} (review v1, review.py:27)",
        "   the journal has     this code asks for    (3 steps before it agree)",
        " 4 task:validate    ≠  task:translate",
        "Nothing is lost or retried. Deploy the code that ran before, or guard the change:",
        'if ctx.patched("translate-first"): …',
    ]
    narrow = plain(timeline.shown(BLOCKED, View(True, 48, NOW)))
    assert narrow[4:7] == [
        " 4 the journal has     task:validate",
        " ≠ this code asks for  task:translate",
        "   (3 steps before it agree)",
    ]
    assert max(map(len, narrow[1:])) <= 48


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def entry(name: str, **attributes: object) -> pb.JournalEntry:
    return pb.JournalEntry(sequence=3, name=name, time=at(0), **attributes)  # type: ignore[arg-type]


RATE_LIMITED = common_pb2.Failure(type="RateLimited", message="429 from api")
QUESTION = task_pb2.Question(
    text="Accept in spite of these?", source=task_pb2.QUESTION_SOURCE_WORKFLOW, choices=["yes", "no"]
)


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (
            entry("start", start=pb.StartAttributes(definition="review", version=1, input=json_of("[1]"))),
            "● start               review v1  [1]",
        ),
        (
            entry("attempt:extract#1", task=task_pb2.TaskResult(failure=RATE_LIMITED, agent_id="go-1")),
            "✗ extract #1          RateLimited: 429 from api  (go-1)",
        ),
        (
            entry("task:extract", task=task_pb2.TaskResult(output=json_of("1"), start_time=at(0), end_time=at(4.1))),
            "✓ extract             4.10 s",
        ),
        (entry("timer:1", timer=pb.TimerAttributes()), "● timer 1             is due"),
        (
            entry("signal:a", signal=pb.SignalAttributes(signal="approve", payload=json_of('{"by": "ana"}'))),
            '● signal approve      {"by": "ana"}',
        ),
        (
            entry("escalated:ask#1", escalated=pb.EscalatedAttributes(question=QUESTION)),
            "? ask                 “Accept in spite of these?”",
        ),
        (
            entry(
                "decided:ask#2",
                decided=pb.DecidedAttributes(
                    action=pb.ESCALATION_ACTION_COMPLETE, value=json_of('"yes"'), resolver="ana", comment="known"
                ),
            ),
            "● ask#2               ana: complete yes, “known”",
        ),
        (
            entry("cancel", cancel=pb.CancelAttributes(reason="twice", requester="ana")),
            "– cancel              ana: twice",
        ),
        (
            entry("close", close=pb.CloseAttributes(state=pb.WORKFLOW_STATE_SUCCEEDED, output=json_of("1"))),
            "✓ succeeded           1",
        ),
        (
            pb.JournalEntry(
                progress=task_pb2.TaskProgress(
                    step="extract", attempt=2, agent_id="go-1", fraction=0.62, message="page 5 of 8", time=at(0)
                )
            ),
            "● extract #2          → go-1                     62 %  page 5 of 8",
        ),
    ],
)
def test_one_line_per_event(found: pb.JournalEntry, says: str) -> None:
    on_terminal, piped = events.event(found, TERMINAL).plain, events.event(found, PIPE).plain
    assert on_terminal.endswith(says) and on_terminal[2] == on_terminal[5] == ":"
    assert piped.endswith(says) and piped.startswith("2023-11-14T22:13:20.000Z")


# ── people ───────────────────────────────────────────────────────────────────────────────────────────────────────────

ASKS = pb.Escalation(
    escalation_id="review-118/ask#1",
    workflow_id="review-118",
    definition="review",
    state=pb.ESCALATION_STATE_OPEN,
    create_time=at(-180),
    question=task_pb2.Question(
        text="Accept in spite of these?",
        source=task_pb2.QUESTION_SOURCE_WORKFLOW,
        choices=["yes", "no"],
        deadline=at(7 * 86_400),
        context=json_of('["no licence file"]'),
    ),
)
EXHAUSTED = pb.Escalation(
    escalation_id="audit-numpy/extract#2",
    create_time=at(-7300),
    question=task_pb2.Question(
        text="extract failed: RateLimited: 429",
        source=task_pb2.QUESTION_SOURCE_EXHAUSTED,
        failure=common_pb2.Failure(attempt=5),
    ),
)


def test_escalations_on_a_terminal() -> None:
    response = service.ListEscalationsResponse(escalations=[ASKS, EXHAUSTED], open_count=2)
    header, first, second = plain(escalations.listed(response, View(True, 140, NOW)))
    assert header.split() == ["ID", "AGE", "DUE", "FROM", "QUESTION", "ANSWERS"]
    assert first == ("review-118/ask         3 min  in 7 d  workflow    Accept in spite of these?         yes, no")
    assert second.split("  ")[0] == "audit-numpy/extract#2"
    assert "5 attempts" in second and second.endswith("retry, complete, fail")
    assert (
        escalations.list_footer(response, TERMINAL, "default")
        == "2 open, oldest 2 h. An id ends in #2, #3, … when a step asks again."
    )
    assert "no open question" in escalations.list_footer(service.ListEscalationsResponse(), TERMINAL, "default")


def test_a_question_is_shown_with_all_that_helps_to_answer_it() -> None:
    page = "\n".join(plain(escalations.shown(ASKS, TERMINAL)))
    for part in (
        "Accept in spite of these?",
        '["no licence file"]',
        "in 7 d",
        "yes, no",
        "resolve review-118/ask --answer yes",
    ):
        assert part in page


def test_a_decision_says_who_when_and_what() -> None:
    decided = pb.Escalation(
        state=pb.ESCALATION_STATE_RESOLVED,
        resolve_time=at(-40),
        resolution=pb.EscalationResolution(
            action=pb.ESCALATION_ACTION_COMPLETE, value=json_of('"no"'), resolver="ana@example"
        ),
    )
    assert escalations.decision(decided, TERMINAL) == "ana@example decided 40.0 s ago: no"


@pytest.mark.parametrize(
    ("schema", "choices", "said", "json"),
    [
        ("", ["yes", "no"], "yes", '"yes"'),
        ("", ["1", "2"], "1", '"1"'),
        ('{"type": "string"}', [], "5", '"5"'),
        ('{"type": "boolean"}', [], "true", "true"),
        ('{"type": "object"}', [], '{"a": 1}', '{"a": 1}'),
        ('{"$ref": "#/$defs/V", "$defs": {"V": {"type": "string", "enum": ["no"]}}}', [], "no", '"no"'),
        ("", [], "a few words", '"a few words"'),
    ],
)
def test_an_answer_becomes_the_json_that_the_question_wants(
    schema: str, choices: list[str], said: str, json: str
) -> None:
    assert escalations.answer_json(task_pb2.Question(answer_schema=schema, choices=choices), said) == json


# ── agents ───────────────────────────────────────────────────────────────────────────────────────────────────────────

AGENTS = registry.ListAgentsResponse(
    agents=[
        registry.AgentEntry(
            agent=agent_pb2.AgentRecord(
                agent_id="go-extract-2",
                capabilities=[agent_pb2.Capability(name="extract", version="1", slots=8)],
                state=agent_pb2.AGENT_STATE_ACTIVE,
                transport=agent_pb2.TRANSPORT_GATEWAY,
                runtime="go 1.24",
                register_time=at(-7300),
            ),
            load=agent_pb2.Load(active=7, slots=8, average_task_time=Duration(seconds=1, nanos=300_000_000)),
        )
    ],
    queues=[
        registry.QueueInfo(capability="validate", waiting=14, oldest=Duration(seconds=180)),
        registry.QueueInfo(capability="extract", waiting=0, agents=1),
    ],
)


def test_agents_on_a_terminal() -> None:
    header, line = plain(agents.listed(AGENTS, TERMINAL))
    assert header.split() == ["AGENT", "SERVES", "SLOTS", "AVG", "FAILED", "STATE", "UP", "RUNS"]
    assert line == "go-extract-2  extract v1  ███████░ 7/8  1.30 s  0 %     ✓ active  2 h  go, gateway"
    assert plain(agents.queues(AGENTS, TERMINAL)) == [
        "queue: validate 14 waiting, oldest 3 min, no agent serves it → nervenet agent APP --only validate"
    ]
    assert plain(agents.queues(AGENTS, View(True, 80, NOW))) == [
        "queue: validate 14 waiting, oldest 3 min, no agent serves it",
        "  → nervenet agent APP --only validate",
    ]


def test_five_thousand_steps_are_drawn_in_much_less_than_a_second() -> None:
    """For a terminal, a pipe and a program. The limit is generous, because the machine of the tests is busy."""
    steps = [
        task_pb2.Task(
            step=f"fetch.{n}", capability="fetch", agent_id="fetch-abcdefgh", state=task_pb2.TASK_STATE_SUCCEEDED
        )
        for n in range(5_000)
    ]
    for step in steps:
        step.schedule_time.FromMilliseconds(NOW - 5_000)
        step.start_time.FromMilliseconds(NOW - 4_000)
        step.end_time.FromMilliseconds(NOW - 3_000)
        step.spans.add(phase=task_pb2.TASK_PHASE_RUNNING, start_time=step.start_time, end_time=step.end_time)
    one = pb.Workflow(workflow_id="big", tasks=steps)
    one.start_time.FromMilliseconds(NOW - 6_000)
    began = time.process_time()
    assert len(timeline.shown(one, TERMINAL)) == 2
    assert len(timeline.shown(one, PIPE)) == 5_002
    assert len(plain_json(one)) > 1_000_000
    assert time.process_time() - began < 3
