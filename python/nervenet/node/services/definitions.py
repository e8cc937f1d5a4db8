# SPDX-License-Identifier: Apache-2.0
"""Workflows as data, over gRPC: put, get, list.

A definition is looked at as a whole, and every problem becomes one field violation, so that an author can fix all of them
at once. What is stored stays: the same content again is no change, other content wants another version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nervenet.errors import AlreadyExists, Overloaded
from nervenet.node.services.pages import Room, page_size, token_in, token_out
from nervenet.payloads import format_size
from nervenet.rpc.status import invalid, invalid_all, not_found
from nervenet.security.permit import LISTABLE
from nervenet.streams.keys import check_name
from nervenet.v1 import coordinator_service_pb2 as pb
from nervenet.v1 import workflow_pb2 as workflow
from nervenet.wire import declaration_in, timestamp

if TYPE_CHECKING:
    from nervenet.node.context import NodeContext
    from nervenet.node.workflows.definitions import StoredDefinitions
    from nervenet.node.workflows.placement import Placement


class Definitions:
    """One for each node."""

    def __init__(self, context: NodeContext, placement: Placement, stored: StoredDefinitions) -> None:
        self._context = context
        self._placement = placement
        self._stored = stored

    async def put(self, request: pb.PutDefinitionRequest) -> pb.PutDefinitionResponse:
        definition = workflow.Definition()
        definition.CopyFrom(request.definition)
        definition.ClearField("create_time")
        _, problems = declaration_in(definition)
        if problems:
            raise invalid_all([(f"definition.{path}".rstrip("."), words) for path, words in problems])
        self._check_size(definition)
        if self._placement.highest_version(definition.name):
            raise _taken(definition, "a live node has code of that name, which goes first: choose another name")
        if request.validate_only:
            return pb.PutDefinitionResponse(definition=definition)
        return await self._put(definition)

    async def _put(self, definition: workflow.Definition) -> pb.PutDefinitionResponse:
        name, version, stored = definition.name, definition.version, self._stored
        stamped = workflow.Definition()
        stamped.CopyFrom(definition)
        stamped.create_time.CopyFrom(timestamp(self._context.clock.now_ms()) or stamped.create_time)
        data = stamped.SerializeToString()
        there = await stored.put(name, version, data)
        if there is None:
            return pb.PutDefinitionResponse(definition=stamped, created=True)
        found = workflow.Definition.FromString(there)
        content = workflow.Definition.FromString(there)
        content.ClearField("create_time")
        if content != definition:
            raise _taken(
                definition,
                f"version {version} is stored with other content, and a version never changes: put it as version "
                f"{(await stored.store.versions(name))[0] + 1}",
            )
        return pb.PutDefinitionResponse(definition=found)

    async def get(self, request: pb.GetDefinitionRequest) -> pb.GetDefinitionResponse:
        name = _name(request.name)
        store = self._stored.store
        versions = await store.versions(name)
        data = await store.get(name, request.version or next(iter(versions), 0))
        if data is None:
            which = f"{name!r} version {request.version}" if request.version and versions else repr(name)
            ending = f"; there are {', '.join(map(str, versions))}" if versions else ""
            raise not_found("definition", name, f"no definition {which} is stored{ending}")
        return pb.GetDefinitionResponse(definition=workflow.Definition.FromString(data))

    async def list(self, request: pb.ListDefinitionsRequest) -> pb.ListDefinitionsResponse:
        size, store = page_size(request.page_size), self._stored.store
        cursor = token_in(request, str, int)
        after = None if cursor is None else (cursor[0], -cursor[1])
        names = [_name(request.name)] if request.name else await store.names()
        if (listable := LISTABLE.get()) is not None:
            names = [name for name in names if listable.allows(name)]
        answer, room = pb.ListDefinitionsResponse(), Room()
        for name in names:
            if after is not None and name < after[0]:
                continue
            versions = await store.versions(name)
            shown = versions if request.name else versions[:1]
            page = [version for version in shown if after is None or (name, -version) > after]
            for data in await store.some(name, page):
                found = _outline(workflow.Definition.FromString(data))
                if len(answer.definitions) == size or not room.takes(found.ByteSize()):
                    last = answer.definitions[-1]
                    answer.next_page_token = token_out(request, last.name, last.version)
                    return answer
                answer.definitions.append(found)
        return answer

    def _check_size(self, definition: workflow.Definition) -> None:
        limit, size = self._context.config.payload_limit, definition.ByteSize()
        if size > limit:
            raise Overloaded(
                f"the definition is {format_size(size)}, limit {format_size(limit)} (NERVENET_PAYLOAD_LIMIT)",
                code="RESOURCE_EXHAUSTED",
                reason="PAYLOAD_TOO_LARGE",
                metadata={"limit": str(limit), "size": str(size)},
            )


def _name(name: str) -> str:
    try:
        return check_name(name, "definition")
    except ValueError as error:
        raise invalid("name", str(error)) from None


def _outline(definition: workflow.Definition) -> workflow.Definition:
    return workflow.Definition(
        name=definition.name,
        version=definition.version,
        description=definition.description,
        create_time=definition.create_time,
    )


def _taken(definition: workflow.Definition, why: str) -> AlreadyExists:
    name, version = definition.name, definition.version
    return AlreadyExists(
        f"definition {name!r}: {why}",
        code="ALREADY_EXISTS",
        reason="DEFINITION_EXISTS",
        metadata={"definition_id": name, "version": str(version)},
    )
