# SPDX-License-Identifier: Apache-2.0
"""Contract messages → lines, as tables: what a terminal of a hundred columns shows, and what a pipe gets."""

from __future__ import annotations

import argparse

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from nervenet.cli.render import agents, escalations, events, text, timeline, workflows
from nervenet.cli.render.table import Column, ids, prose, table
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


def test_long_ids_lose_their_middle_and_never_their_ends() -> None:
    assert text.middle("audit-2024-11-02-q1-numpy", 20) == "audit-2024…-q1-numpy"
    assert text.middle("short", 20) == "short"


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


def test_a_narrow_terminal_shortens_what_can_be_shortened_and_a_pipe_gets_everything() -> None:
    columns = (ids("ID"), Column("STATE"), prose("NOTE"))
    rows = [("a" * 30 + "b" * 30, "✓ succeeded", "words " * 20)]
    narrow = table(columns, rows, View(people=True, width=60, now_ms=NOW))
    assert all(line.cell_len <= 60 for line in narrow)
    assert "…" in narrow[1].plain and "✓ succeeded" in narrow[1].plain
    assert "a" * 30 + "b" * 30 in table(columns, rows, PIPE)[1].plain


def test_wide_characters_keep_their_columns() -> None:
    lines = plain(table((prose("NAME"), Column("N")), [("日本", "1"), ("ab", "2")], TERMINAL))
    assert lines == ["NAME  N", "日本  1", "ab    2"]


# ── workflows ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_list_on_a_terminal() -> None:
    assert plain(workflows.listed(LIST, TERMINAL)) == [
        "ID                       DEFINITION  STATE      STARTED    TOOK    AT        NOTE",
        "audit-2024-…py-q1-numpy  audit v2    ✗ failed   4 min ago  9.10 s  extract   RateLimited: 429 from…",
        "review-118               review v1   ! blocked  2 h ago    –       validate  code and journal disag…",
    ]


def test_a_list_on_a_narrow_terminal_leaves_columns_out_the_least_telling_first() -> None:
    def titles(width: int) -> str:
        return plain(workflows.listed(LIST, View(True, width, NOW)))[0]

    assert titles(84).split() == ["ID", "DEFINITION", "STATE", "STARTED", "TOOK", "NOTE"]
    assert titles(70).split() == ["ID", "DEFINITION", "STATE", "STARTED", "NOTE"]
    assert titles(52).split() == ["ID", "DEFINITION", "STATE", "STARTED"]
    assert max(map(len, plain(workflows.listed(LIST, View(True, 52, NOW))))) <= 52


def test_list_in_a_pipe_has_whole_ids_and_iso_times() -> None:
    header, failed, blocked = plain(workflows.listed(LIST, PIPE))
    assert header.split() == ["ID", "DEFINITION", "STATE", "STARTED", "TOOK", "AT", "NOTE"]
    assert failed.startswith("audit-2024-11-02-licences-of-numpy-q1-numpy  audit v2")
    assert "2023-11-14T22:09:20.000Z" in failed
    assert blocked.endswith("code and journal disagree, review.py:27")


@pytest.mark.parametrize(
    ("response", "wanted", "filtered", "says"),
    [
        (LIST, (), False, "2 of 214."),
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
    args = argparse.Namespace(state=["failed"], definition=None, label=["team=legal"], since="2h")
    command = repeated("nervenet list", args, "state", "definition", "label", "since")
    page = service.ListWorkflowsResponse(workflows=[FAILED], namespace_count=3, next_page_token="t0")
    footer = workflows.list_footer(page, "default", command=command)
    assert footer == "1 of 3. More: nervenet list --state failed --label team=legal --since 2h --next t0"


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
    lines = plain(timeline.shown(SHOWN, View(True, 160, NOW), decided={"review-118/ask.2#1": said}))
    title, extract, validate, ask, asked, summarize, result = lines
    assert title == "✓ review-118   succeeded   review v1   9.02 s   trace 4bf92f3577b34da6   node n-7c2 (adopted once)"
    assert extract.startswith("    0.01  " + "━" * 17 + "┥" + " " * 24) and "4.10 s" in extract  # 40 for 9.02 s
    assert extract.endswith("attempt 2 (1: RateLimited: 429)")
    assert "┄" in validate and validate.endswith("waits: no agent serves it")
    assert ask.endswith("waits for a human: review-118/ask")
    assert "ana@example" in asked and asked.endswith("“Accept in spite of these?” → yes, “known issue”")
    assert summarize.lstrip().startswith("8.63") and summarize.endswith("1.2k tokens")
    assert result == 'result {"text": "MIT, 3 holders"}'


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
