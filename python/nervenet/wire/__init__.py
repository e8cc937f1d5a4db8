# SPDX-License-Identifier: Apache-2.0
"""Records ⇄ the contract's messages: here journal entries and task envelopes become bytes, and bytes become records.

It hides protobuf from the modules that work with records (`records.py`): the replay machine, the agent runtime, the
node's coordinators. A stored entry has no name, sequence number or time, because its journal id and field `n` have
them. Decoding is total: `decode_entry` returns an `UnreadableEntry` body for bytes of a newer release or a broken
program. An enum value of a newer release becomes a neutral one if nothing depends on it.

These functions are on the hot path. A message is built in one constructor call: setting its fields one by one costs
half as much again.
"""

from nervenet.wire.declarations import declaration_from_json, declaration_in, decode_declaration, definition_from_json
from nervenet.wire.entries import (
    action_in,
    action_out,
    decode_entry,
    encode_entry,
    entry_from_json,
    entry_message,
    entry_to_json,
    question_in,
    question_out,
    state_in,
    state_out,
)
from nervenet.wire.members import encode_node_record
from nervenet.wire.options import options_out, policy_in, refused_option
from nervenet.wire.plain import PlainOutcome, plain_input, plain_outcome, plain_output
from nervenet.wire.requests import clear_mistakes, has_checks, mistakes
from nervenet.wire.tasks import (
    Envelope,
    decode_envelope,
    decode_payload,
    encode_common,
    encode_envelope,
    encode_payload,
    encode_progress,
    encode_varying,
    task_id,
)
from nervenet.wire.values import (
    EXACT,
    VALUE_LIMIT,
    duration,
    duration_ms,
    failure_in,
    failure_out,
    optional_ms,
    payload_fields,
    payload_for_people,
    payload_in,
    payload_out,
    set_ms,
    timestamp,
    timestamp_ms,
    to_json,
    trace_in,
    trace_out,
)

__all__ = [
    "EXACT",
    "VALUE_LIMIT",
    "Envelope",
    "PlainOutcome",
    "action_in",
    "action_out",
    "clear_mistakes",
    "declaration_from_json",
    "declaration_in",
    "decode_declaration",
    "decode_entry",
    "decode_envelope",
    "decode_payload",
    "definition_from_json",
    "duration",
    "duration_ms",
    "encode_common",
    "encode_entry",
    "encode_envelope",
    "encode_node_record",
    "encode_payload",
    "encode_progress",
    "encode_varying",
    "entry_from_json",
    "entry_message",
    "entry_to_json",
    "failure_in",
    "failure_out",
    "has_checks",
    "mistakes",
    "optional_ms",
    "options_out",
    "payload_fields",
    "payload_for_people",
    "payload_in",
    "payload_out",
    "plain_input",
    "plain_outcome",
    "plain_output",
    "policy_in",
    "question_in",
    "question_out",
    "refused_option",
    "set_ms",
    "state_in",
    "state_out",
    "task_id",
    "timestamp",
    "timestamp_ms",
    "to_json",
    "trace_in",
    "trace_out",
]
