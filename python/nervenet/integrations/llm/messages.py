# SPDX-License-Identifier: Apache-2.0
"""What goes to a model and what comes back, as payloads: requests, replies, messages, tools and schemas. No I/O.

The words are those of the Chat Completions API. Three rules keep running workflows safe when this module gets new fields:
a field that is not set is not written, every field but the essential one has a default, and what a newer release wrote
beyond our fields is ignored.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, model_serializer

from nervenet.integrations.llm.errors import InvalidAnswer
from nervenet.integrations.llm.schemas import strict_form

if TYPE_CHECKING:
    from pydantic import SerializerFunctionWrapHandler

    from nervenet import Agent

__all__ = ["ChatReply", "ChatRequest", "Message", "OutputSchema", "Tool", "ToolCall"]

Role = Literal["system", "developer", "user", "assistant", "tool"]
I = TypeVar("I")  # noqa: E741  # the input of an agent, as everywhere in the signatures
T = TypeVar("T")
_ANYTHING: TypeAdapter[Any] = TypeAdapter(Any)


class _Value(BaseModel):
    """A frozen payload that leaves out what is not set."""

    model_config = ConfigDict(frozen=True)

    @model_serializer(mode="wrap")
    def _without_defaults(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = type(self).model_fields
        written: dict[str, Any] = write(self)
        return {name: value for name, value in written.items() if getattr(self, name) != fields[name].default}


class ToolCall(_Value):
    """A tool that the model wants to call.

    Attributes:
        id: Id of the call, which the answer must carry (`Message.tool`).
        name: Name of the tool.
        arguments: Its arguments.
    """

    id: str
    name: str
    arguments: dict[str, Any] = {}

    def input(self, agent: Agent[I, Any], /) -> I:
        """The arguments as the input of an agent that was offered with `Tool.of`.

            await ctx.call(forecast, call.input(forecast))

        Args:
            agent: The agent.

        Raises:
            InvalidPayload: The model's arguments do not fit the input of the agent. Tell the model, or let the call fail.
        """
        if agent.input.type is None:
            return cast("I", None)
        _, wrapped = _parameters(agent)
        value = self.arguments.get(wrapped) if wrapped else self.arguments
        return cast("I", agent.input.convert(value))


class Message(_Value):
    """One message of a conversation. The class methods make the usual ones.

        Message.user("What is 6 * 7?")

    Attributes:
        role: Who says it.
        content: The text, or parts in the form of the API (text, images). None: the assistant only calls tools.
        name: Name of the speaker.
        tool_calls: The tools that the assistant calls.
        tool_call_id: Id of the call that this message answers.
    """

    role: Role
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] = []
    tool_call_id: str | None = None

    @classmethod
    def system(cls, text: str, /) -> Message:
        """Instructions for the model.

        Args:
            text: The instructions.
        """
        return cls(role="system", content=text)

    @classmethod
    def user(cls, content: str | list[dict[str, Any]], /) -> Message:
        """What a user says.

        Args:
            content: The text, or parts in the form of the API (text, images).
        """
        return cls(role="user", content=content)

    @classmethod
    def assistant(cls, text: str, /) -> Message:
        """What the model said.

        Args:
            text: The text.
        """
        return cls(role="assistant", content=text)

    @classmethod
    def tool(cls, call: ToolCall, result: object, /) -> Message:
        """The result of a tool.

        The text is the same in each replay: a set is sorted, and a field that the result does not have, because its agent had an
        older release of the type, is not written with its default.

        Args:
            call: The call that it answers.
            result: A text, or any value that pydantic can write as JSON. Of a model the fields are written that are set, of
                a dataclass those that differ from their defaults.
        """
        text = result if isinstance(result, str) else _ANYTHING.dump_json(_written(result)).decode()
        return cls(role="tool", content=text, tool_call_id=call.id)


class Tool(_Value):
    """A tool that the model may call.

    A request is part of the journal, so what is written into it must be the same when the workflow is replayed. `Tool.of`
    writes only the name of the agent. The LLM agent adds description and parameters, so that you can change a docstring or
    an input type, and upgrade libraries, while workflows run.

    Attributes:
        name: Its name.
        description: What it does, for the model. None: the docstring of the agent of this name.
        parameters: JSON Schema of its arguments, an object. None: from the input type of the agent of this name.
        strict: Whether the endpoint must keep the model to the schema. None: as the endpoint likes.
    """

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None

    @classmethod
    def of(cls, agent: Agent[Any, Any], /, *, description: str | None = None) -> Tool:
        """An agent as a tool.

        Args:
            agent: The agent. `ToolCall.input` gives the input for a call of it. The LLM agent must know it: it is in the same
                mesh, or it was passed as `llm_agent(tools=…)`.
            description: What it does, for the model. Default: the docstring of the agent.
        """
        return cls(name=agent.name, description=description)

    def completed(self, agent: Agent[Any, Any], /) -> Tool:
        """This tool with description and parameters from its agent, where it has none.

        Args:
            agent: The agent of the same name.
        """
        parameters = _parameters(agent)[0] if self.parameters is None else self.parameters
        description = agent.description if self.description is None else self.description
        return self.model_copy(update={"description": description, "parameters": parameters})


class OutputSchema(_Value):
    """The form that an answer must have.

    The schema is part of the journal. If a type may change while workflows run, register it (`llm_agent(outputs=[Plan])`)
    and name it in the request (`output="Plan"`).

    Attributes:
        name: Name of the schema, for the model: letters, digits, `_` and `-`.
        definition: JSON Schema of the answer. The agent checks the answer with it.
        strict: Whether the endpoint must keep the model to the schema.
    """

    name: str
    definition: dict[str, Any]
    strict: bool = False

    @classmethod
    def of(cls, type: type[Any], /, *, name: str = "", strict: bool | None = None) -> OutputSchema:
        """The schema of a type.

        Args:
            type: A pydantic model, dataclass or TypedDict.
            name: Name of the schema, for the model. Default: the name of the type.
            strict: True: in the form that OpenAI's strict mode takes (every property required, no others). False: as it is.
                Default: strict, where the schema can have that form.

        Raises:
            ValueError: `strict=True`, and the schema cannot have that form.
        """
        definition = _adapter(type).json_schema()
        tight = None if strict is False else strict_form(definition)
        if strict and tight is None:
            raise ValueError(
                f"{type.__name__} has no strict schema: a dict with any keys, a set or a tuple is in it. Pass strict=False."
            )
        return cls(name=name or type.__name__, definition=tight or definition, strict=tight is not None)


class ChatRequest(_Value):
    """What a model is asked: the input of an agent made by `llm_agent`.

        await ctx.call(llm, ChatRequest.ask("Why is the sky blue?", max_tokens=200))

    Attributes:
        messages: The conversation.
        model: The model. None: the model of the agent.
        tools: Tools that the model may call.
        tool_choice: `"auto"`, `"none"`, `"required"`, or the name of the tool that it must call.
        parallel_tool_calls: Whether it may call several tools at once. None: as the endpoint likes.
        output: The form that the answer must have: a schema, or the name of a type in `llm_agent(outputs=…)`. None: text.
        temperature: From 0 (always the likeliest token) to 2. None: as the endpoint likes.
        top_p: Only the likeliest tokens whose probabilities add up to this. None: as the endpoint likes.
        max_tokens: Limit for the tokens of the answer. None: the limit of the agent.
        stop: Texts at which the answer ends.
        seed: The same seed gives the same answer, as far as the endpoint can. None: by chance.
        extra: More fields of the body, for options of one endpoint.
    """

    messages: list[Message]
    model: str | None = None
    tools: list[Tool] = []
    tool_choice: str | None = None
    parallel_tool_calls: bool | None = None
    output: OutputSchema | str | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: list[str] = []
    seed: int | None = None
    extra: dict[str, Any] = {}

    @classmethod
    def ask(cls, text: str, /, *, system: str = "", **fields: Any) -> ChatRequest:
        """One question.

        Args:
            text: What the user says.
            system: Instructions for the model.
            **fields: Other fields of the request.
        """
        first = [Message.system(system)] if system else []
        return cls(messages=[*first, Message.user(text)], **fields)

    def with_messages(self, *more: Message) -> ChatRequest:
        """The same request with these messages at the end.

        Args:
            more: The messages.
        """
        return self.model_copy(update={"messages": [*self.messages, *more]})


class ChatReply(_Value):
    """What a model answered.

    Attributes:
        text: The text.
        tool_calls: The tools that the model wants to call, in its order.
        finish: Why it ended: `"stop"`, `"tool_calls"`, `"length"` (the token limit) or `"content_filter"`.
        model: The model that answered, as the endpoint names it.
        refusal: Why the model refuses to answer. None: it does not.
        input_tokens: Tokens of the request. 0: the endpoint does not say.
        output_tokens: Tokens of the answer. 0: the endpoint does not say.
    """

    text: str = ""
    tool_calls: list[ToolCall] = []
    finish: str = "stop"
    model: str = ""
    refusal: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def message(self) -> Message:
        """The answer as a message, to continue the conversation."""
        words = self.text or self.refusal or (None if self.tool_calls else "")
        return Message(role="assistant", content=words, tool_calls=self.tool_calls)

    def parse(self, type: type[T], /) -> T:
        """The text as a value of a type. The agent has checked it with the schema of the request.

        Args:
            type: The type whose schema was asked for (`OutputSchema.of`).

        Raises:
            InvalidAnswer: The text is no such value.
        """
        try:
            return cast("T", _adapter(type).validate_json(self.text))
        except ValidationError as error:
            raise InvalidAnswer(f"the answer is no {type.__name__}: {_first(error)}") from None


def _written(value: Any) -> Any:
    """A value as JSON that is the same in each process and with each release of its types."""
    if isinstance(value, Mapping):
        known = cast("Mapping[Any, Any]", value)  # type: ignore[redundant-cast]  # pyright needs it
        names: list[str] = list(_ANYTHING.dump_python(dict.fromkeys(known), mode="json"))
        return dict(zip(names, map(_written, known.values()), strict=True))
    if isinstance(value, list | tuple | set | frozenset):
        written = [_written(one) for one in cast("Iterable[Any]", value)]
        return written if isinstance(value, list | tuple) else _sorted(written)
    if isinstance(value, BaseModel):
        left_out: dict[str, Any] = {"exclude_unset": True}
    elif dataclasses.is_dataclass(value):
        left_out = {"exclude_defaults": True}
    else:
        return _ANYTHING.dump_python(value, mode="json")
    kind: Any = type(value)
    adapter = _adapter(kind)
    return _ordered(adapter.dump_python(value, mode="json", **left_out), adapter.dump_python(value, **left_out))


def _ordered(written: Any, value: Any) -> Any:
    """JSON whose lists are sorted where the value has sets."""
    if isinstance(written, dict) and isinstance(value, dict):
        pairs = zip(cast("dict[str, Any]", written).items(), cast("dict[Any, Any]", value).values(), strict=True)  # type: ignore[redundant-cast]  # pyright needs it
        return {name: _ordered(one, its) for (name, one), its in pairs}
    if isinstance(written, list) and isinstance(value, list | tuple | set | frozenset):
        ones = cast("list[Any]", written)  # type: ignore[redundant-cast]  # pyright needs it
        ordered = [_ordered(one, its) for one, its in zip(ones, cast("Iterable[Any]", value), strict=True)]
        return ordered if isinstance(value, list | tuple) else _sorted(ones)
    return cast("Any", written)


def _sorted(written: list[Any]) -> list[Any]:
    return sorted(written, key=lambda one: json.dumps(one, sort_keys=True))


def _adapter(type: Any) -> TypeAdapter[Any]:
    return _cached(type)


@lru_cache(maxsize=256)
def _cached(type: Any) -> TypeAdapter[Any]:
    return TypeAdapter(type)


def _first(error: ValidationError) -> str:
    one = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in one["loc"])
    return f"{where}: {one['msg']}" if where else one["msg"]


def _parameters(agent: Agent[Any, Any]) -> tuple[dict[str, Any], str]:
    """The parameters of an agent as a tool, and the name of the one property in which another type than an object is."""
    if agent.input.type is None:
        return {"type": "object", "properties": {}}, ""
    schema = _clean(json.loads(agent.input.schema() or b"{}"))
    if schema.get("type") == "object":
        return schema, ""
    name = agent.parameter or "input"
    definitions = {"$defs": schema.pop("$defs")} if "$defs" in schema else {}
    return {"type": "object", "properties": {name: schema}, "required": [name], **definitions}, name


def _clean(schema: Any) -> Any:
    """Without nervenet's own marks (`x-…`), which an endpoint may refuse."""
    if isinstance(schema, list):
        return [_clean(one) for one in cast("list[object]", schema)]
    if not isinstance(schema, dict):
        return schema
    known = cast("dict[str, Any]", schema)
    return {name: _clean(value) for name, value in known.items() if not name.startswith("x-")}
