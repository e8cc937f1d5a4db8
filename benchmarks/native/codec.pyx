# SPDX-License-Identifier: Apache-2.0
# cython: language_level=3, boundscheck=False, wraparound=False
"""The two codecs of each step in C: an outcome that came as news, and the envelope of an attempt. See README.md.

What is not the usual case (a failure, tokens, another kind of payload, an unknown field) is left to the Python twin: `decode_entry`
returns None then. Nothing here reads beyond `end`.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_AsUTF8AndSize, PyUnicode_DecodeUTF8
from libc.string cimport memcpy

from nervenet.records import Entry, Outcome, Payload

ctypedef unsigned char byte
ctypedef unsigned long long u64


cdef inline const byte *_varint(const byte *at, const byte *end, u64 *value) noexcept:
    """The position after a number, NULL if it is cut off or too long."""
    cdef int shift = 0
    value[0] = 0
    while at < end and shift < 64:
        value[0] |= (<u64>(at[0] & 0x7F)) << shift
        at += 1
        if (at - 1)[0] < 0x80:
            return at
        shift += 7
    return NULL


cdef inline const byte *_sized(const byte *at, const byte *end, u64 *size) noexcept:
    """The position of a field's bytes, NULL if they are not all there."""
    at = _varint(at, end, size)
    return NULL if at == NULL or size[0] > <u64>(end - at) else at


cdef bint _moment(const byte *at, const byte *end, long long *ms) noexcept:
    cdef u64 tag, value, seconds = 0, nanos = 0
    while at < end:
        at = _varint(at, end, &tag)
        if at == NULL:
            return False
        at = _varint(at, end, &value)
        if at == NULL:
            return False
        if tag == 8:
            seconds = value
        elif tag == 16:
            nanos = value
        else:
            return False
    if ms[0] or nanos > 999_999_999 or seconds >> 40:  # twice, or no moment: the twin knows what that means
        return False
    ms[0] = <long long>seconds * 1000 + <long long>nanos // 1_000_000
    return True


cdef object _text(const byte *at, u64 size):
    return PyUnicode_DecodeUTF8(<const char *>at, size, NULL)


def decode_entry(str name, bytes data, object n, object time_ms):
    """As `wire.decode_entry` for a step's JSON; None: let the twin do it."""
    cdef const byte *at = <const byte *>PyBytes_AS_STRING(data)
    cdef const byte *end = at + len(data)
    cdef u64 tag, size
    cdef object actor = "", body = None
    while at < end:
        at = _varint(at, end, &tag)
        if at == NULL:
            return None
        at = _sized(at, end, &size) if tag & 7 == 2 else NULL
        if at == NULL:
            return None
        if tag == 0x22:
            actor = _text(at, size)
        elif tag == 0x32 and body is None:
            body = _outcome(at, at + size)
            if body is None:
                return None
        else:
            return None
        at += size
    return None if body is None else Entry(name, body, n, time_ms, actor)


cdef object _outcome(const byte *at, const byte *end):
    cdef u64 tag, size, attempt = 0, inner, length
    cdef long long started = 0, ended = 0, scheduled = 0
    cdef const byte *inside
    cdef object output = None, capability = "", digest = b"", agent = ""
    while at < end:
        at = _varint(at, end, &tag)
        if at == NULL:
            return None
        if tag == 0x40:
            at = _varint(at, end, &attempt)
            if at == NULL or attempt >> 31:
                return None
            continue
        at = _sized(at, end, &size) if tag & 7 == 2 else NULL
        if at == NULL:
            return None
        if tag == 0x0A and output is None:  # a payload with nothing but JSON
            inside = _varint(at, at + size, &inner)
            if inside == NULL or inner != 0x0A:
                return None
            inside = _sized(inside, at + size, &length)
            if inside == NULL or length == 0 or inside + length != at + size:
                return None
            _text(inside, length)  # raises UnicodeDecodeError, a ValueError, as the twin's decoder refuses it
            output = Payload("json", PyBytes_FromStringAndSize(<const char *>inside, length))
        elif tag == 0x2A:
            if not _moment(at, at + size, &started):
                return None
        elif tag == 0x32:
            if not _moment(at, at + size, &ended):
                return None
        elif tag == 0x5A:
            if not _moment(at, at + size, &scheduled):
                return None
        elif tag == 0x3A:
            agent = _text(at, size)
        elif tag == 0x4A:
            capability = _text(at, size)
        elif tag == 0x52:
            digest = PyBytes_FromStringAndSize(<const char *>at, size)
        else:
            return None
        at += size
    if output is None:
        return None
    return Outcome(output, None, capability, digest, attempt, agent, started, ended, (), scheduled)


cdef inline byte *_put_varint(byte *at, u64 value) noexcept:
    while value >= 0x80:
        at[0] = <byte>(value | 0x80)
        at += 1
        value >>= 7
    at[0] = <byte>value
    return at + 1


cdef inline byte *_put(byte *at, u64 tag, const char *data, Py_ssize_t size) noexcept:
    if size == 0:
        return at
    at = _put_varint(_put_varint(at, tag), size)
    memcpy(at, data, size)
    return at + size


cdef inline int _width(u64 value) noexcept:
    cdef int width = 1
    while value >= 0x80:
        value >>= 7
        width += 1
    return width


def encode_varying(str task_id, str step, str capability, u64 attempt, input, bytes digest, str agent_id, u64 enqueue_ms):
    """As `wire.tasks.encode_varying` for JSON without `about`; None: let the twin do it."""
    cdef Py_ssize_t ids, steps, capabilities, agents
    cdef const char *id_ = PyUnicode_AsUTF8AndSize(task_id, &ids)
    cdef const char *step_ = PyUnicode_AsUTF8AndSize(step, &steps)
    cdef const char *capability_ = PyUnicode_AsUTF8AndSize(capability, &capabilities)
    cdef const char *agent_ = PyUnicode_AsUTF8AndSize(agent_id, &agents)
    cdef bytes data = input[1]
    cdef Py_ssize_t size = len(data), most
    cdef u64 seconds = enqueue_ms // 1000, nanos = enqueue_ms % 1000 * 1_000_000
    cdef byte *begin
    cdef byte *at
    if input[0] != "json" or input[2]:
        return None
    most = ids + steps + capabilities + agents + size + len(digest) + 120
    result = PyBytes_FromStringAndSize(NULL, most)
    begin = at = <byte *>PyBytes_AS_STRING(result)
    at = _put(at, 0x0A, id_, ids)
    at = _put(at, 0x1A, step_, steps)
    at = _put(at, 0x22, capability_, capabilities)
    if attempt:
        at = _put_varint(_put_varint(at, 0x28), attempt)
    at = _put_varint(_put_varint(at, 0x32), 1 + _width(size) + size)
    at = _put_varint(_put_varint(at, 0x0A), size)  # a member of a oneof is written also if it is empty
    memcpy(at, PyBytes_AS_STRING(data), size)
    at += size
    at = _put(at, 0x5A, agent_, agents)
    at = _put_varint(at, 0x82)
    at = _put_varint(at, (1 + _width(seconds) if seconds else 0) + (1 + _width(nanos) if nanos else 0))
    if seconds:
        at = _put_varint(_put_varint(at, 8), seconds)
    if nanos:
        at = _put_varint(_put_varint(at, 16), nanos)
    at = _put(at, 0x8A, PyBytes_AS_STRING(digest), len(digest))
    return result[: at - begin]
