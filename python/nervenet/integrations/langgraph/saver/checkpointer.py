# SPDX-License-Identifier: Apache-2.0
"""`NervenetSaver`: a LangGraph checkpointer that keeps checkpoints in Redis or Valkey.

    from nervenet.integrations.langgraph import NervenetSaver

    with NervenetSaver.from_url("redis://localhost:6379", keep=20) as saver:
        graph = builder.compile(checkpointer=saver)
        graph.invoke({"messages": [("user", "Hello")]}, {"configurable": {"thread_id": "1"}})

It hides how checkpoints are stored (`store`, `records`) and which thread speaks to Redis (`LinkThread`). It has
LangGraph's methods for programs with and without an event loop; both do the same work on the same connection, so one
saver serves both. What a method gets is serialized in the caller's thread.

It has no method `setup`: there is no schema to create.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, cast

from langgraph.checkpoint.base import WRITES_IDX_MAP, BaseCheckpointSaver, CheckpointTuple, get_checkpoint_metadata

from nervenet.errors import NervenetError
from nervenet.integrations.langgraph.saver.records import Checkpoint as StoredCheckpoint
from nervenet.integrations.langgraph.saver.records import Typed, Write
from nervenet.integrations.langgraph.saver.script import NAMES, script
from nervenet.integrations.langgraph.saver.store import CheckpointStore, History, Loaded, NewCheckpoint, StoreOptions
from nervenet.integrations.link_thread import LinkThread, StoreSettings
from nervenet.redis_link.address import parse
from nervenet.streams.keys import check_namespace

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata, DeltaChannelHistory
    from langgraph.checkpoint.serde.base import SerializerProtocol

__all__ = ["CheckpointsUnavailable", "NervenetSaver"]

_WAIT: Final = 5.0
_PAGE: Final = 100
_BATCH: Final = 16
_STORED_APART: Final = frozenset({"id", "channel_values", "channel_versions"})

_Work = Callable[[CheckpointStore], Coroutine[None, None, Any]]


class CheckpointsUnavailable(NervenetError):
    """Redis did not store or return checkpoints. The message has Redis' reason and the cure. Nothing was stored in part:
    invoke the graph again with the same thread_id and it continues from its last checkpoint."""


class NervenetSaver(BaseCheckpointSaver[int]):
    """Keeps the checkpoints of LangGraph graphs in Redis or Valkey: one server, Sentinel or Cluster.

    It connects at its first use. Close it with a `with` or `async with` block, or with `close`. Any number of threads
    and event loops may use one saver, and any number of processes one namespace. The methods without `a` block the
    thread that calls them; inside an event loop use those with `a`, as `ainvoke` does.

        with NervenetSaver("redis://localhost:6379") as saver:
            graph = builder.compile(checkpointer=saver)

    Args:
        url: Address of the server: the forms of nervenet's `redis` setting. `redis://host:6379/0`, `rediss://…` (TLS),
            `unix:///path`, `redis+sentinel://host:26379,host/master-name` or `redis+cluster://host:6379,host`.
        namespace: Prefix of all keys. Savers with different namespaces see nothing of each other.
        ttl: How long a thread is kept after its last use. Reading it and writing to it are uses. Default: no limit.
        keep: How many checkpoints of each namespace of a thread are kept. Older ones are removed when a new one is
            stored, at the latest when an eighth more is there. Default: all.
        serde: LangGraph's serializer for values, checkpoints and metadata. Default: JsonPlusSerializer. With an
            EncryptedSerializer, Redis still has in clear: ids of threads, checkpoints, runs and tasks, names and
            versions of channels.
        patience: How long a command is repeated while the server is away.

    Raises:
        ValueError: `namespace`, `ttl` or `keep` cannot be used. The message has the reason.
        NervenetError: The URL cannot be used. The message has the valid forms.

    Every method raises `CheckpointsUnavailable` if Redis does not answer or refuses the command.
    """

    def __init__(
        self,
        url: str,
        *,
        namespace: str = "default",
        ttl: timedelta | None = None,
        keep: int | None = None,
        serde: SerializerProtocol | None = None,
        patience: timedelta = timedelta(seconds=30),
    ) -> None:
        super().__init__(serde=serde)
        self._address = str(parse(url))
        if ttl is not None and ttl < timedelta(milliseconds=1):
            raise ValueError(f"ttl is {ttl}: give a positive timedelta, or None for no limit")
        if keep is not None and keep < 1:
            raise ValueError(f"keep is {keep}: at least 1 checkpoint must be kept; give None to keep all")
        ttl_ms = 0 if ttl is None else ttl // timedelta(milliseconds=1)
        self._options = StoreOptions(check_namespace(namespace), ttl_ms, keep or 0)
        settings = StoreSettings(
            url=url,
            name="nervenet-saver",
            owner="NervenetSaver",
            data="checkpoints",
            unavailable=CheckpointsUnavailable,
            wait=_WAIT,
            patience=patience.total_seconds(),
            scripts=[script(name) for name in NAMES],
        )
        self._store = LinkThread(settings, partial(CheckpointStore, options=self._options))

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        namespace: str = "default",
        ttl: timedelta | None = None,
        keep: int | None = None,
        serde: SerializerProtocol | None = None,
        patience: timedelta = timedelta(seconds=30),
    ) -> Self:
        """The same as the constructor, in the form that LangGraph's own savers have.

            async with NervenetSaver.from_url("redis://localhost:6379") as saver:
                graph = builder.compile(checkpointer=saver)

        Args:
            url: Address of the server.
            namespace: Prefix of all keys.
            ttl: How long a thread is kept after its last use. Default: no limit.
            keep: How many checkpoints of each namespace of a thread are kept. Default: all.
            serde: LangGraph's serializer. Default: JsonPlusSerializer.
            patience: How long a command is repeated while the server is away.

        Raises:
            ValueError: `namespace`, `ttl` or `keep` cannot be used. The message has the reason.
            NervenetError: The URL cannot be used. The message has the valid forms.
        """
        return cls(url, namespace=namespace, ttl=ttl, keep=keep, serde=serde, patience=patience)

    def __repr__(self) -> str:
        return f"<NervenetSaver {self._options.namespace} at {self._address}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def close(self) -> None:
        """Close the connection. Calls that wait for Redis fail. A second call does nothing."""
        self._store.close()

    async def aclose(self) -> None:
        """`close` for a program with an event loop."""
        await self._store.aclose()

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint.

        Args:
            config: Its thread and namespace, and the id of its parent.
            checkpoint: The checkpoint, with the values of all channels.
            metadata: Stored with it, and with what `config` has as metadata.
            new_versions: The channels that have changed since the parent. Only their values are stored.

        Returns:
            The config of this checkpoint.
        """
        new = self._new(config, checkpoint, metadata, new_versions)
        while lacking := self._store.wait(_putting(new)):
            new = self._complete(new, checkpoint, lacking)
        return _config_of(_thread(config), new.ns, new.id)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """`put` for a program with an event loop."""
        new = self._new(config, checkpoint, metadata, new_versions)
        while lacking := await self._store.run(_putting(new)):
            new = self._complete(new, checkpoint, lacking)
        return _config_of(_thread(config), new.ns, new.id)

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store what a task has written, before the next checkpoint contains it.

        A write that is stored already stays, so that a repeated task does not change it. Errors, interrupts and
        answers to interrupts replace earlier ones.

        Args:
            config: The checkpoint at which the task runs.
            writes: Channels and values.
            task_id: Id of the task.
            task_path: Its path, which decides the order in which LangGraph applies writes.
        """
        self._store.wait(self._writing(config, writes, task_id, task_path))

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """`put_writes` for a program with an event loop."""
        await self._store.run(self._writing(config, writes, task_id, task_path))

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that `config` names, or the newest one of its thread and namespace.

        Args:
            config: The thread; with `checkpoint_id` this checkpoint.

        Returns:
            The checkpoint with its metadata, its parent's config and the writes of its tasks. None: there is none.
        """
        thread, wanted = str(_thread(config)), [(_ns(config) or "", _checkpoint_id(config) or "")]
        loaded = self._store.wait(_loading(thread, wanted))[0]
        return None if loaded is None else self._tuple(_thread(config), loaded)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """`get_tuple` for a program with an event loop."""
        thread, wanted = str(_thread(config)), [(_ns(config) or "", _checkpoint_id(config) or "")]
        loaded = (await self._store.run(_loading(thread, wanted)))[0]
        return None if loaded is None else self._tuple(_thread(config), loaded)

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """From what LangGraph rebuilds a DeltaChannel: the writes of the ancestors of a checkpoint, and the value from
        which they go on. One request reads 256 ancestors; LangGraph's default reads them one by one.

        Args:
            config: The checkpoint.
            channels: Names of channels.
        """
        if not channels:
            return {}
        return self._histories(channels, self._store.wait(_tracing(config, channels)))

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """`get_delta_channel_history` for a program with an event loop."""
        if not channels:
            return {}
        return self._histories(channels, await self._store.run(_tracing(config, channels)))

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Checkpoints of a thread, the newest first. They are read in small batches while you iterate.

        Args:
            config: The thread; with `checkpoint_ns` only this namespace. None: all threads, one after another.
            filter: Keys and values that the metadata must have.
            before: Only checkpoints that are older than this one.
            limit: How many at most. Default: all.
        """
        listing = _Listing(self._tuple, self._read_metadata, filter, before, limit)
        threads = self._store.wait(_all_threads) if config is None else [_thread(config)]
        for thread in threads:
            listing.begin(thread, config)
            while (step := listing.next()) is not None:
                yield from step.receive(self._store.wait(step.work))

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """`list` for a program with an event loop."""
        listing = _Listing(self._tuple, self._read_metadata, filter, before, limit)
        threads = await self._store.run(_all_threads) if config is None else [_thread(config)]
        for thread in threads:
            listing.begin(thread, config)
            while (step := listing.next()) is not None:
                for found in step.receive(await self._store.run(step.work)):
                    yield found

    # ── removing and copying ─────────────────────────────────────────────────────────────────────────────────────────

    def delete_thread(self, thread_id: str) -> None:
        """Remove all checkpoints and writes of a thread.

        Args:
            thread_id: The thread. One that does not exist is no error.
        """
        self._store.wait(lambda store: store.delete(str(thread_id)))

    async def adelete_thread(self, thread_id: str) -> None:
        """`delete_thread` for a program with an event loop."""
        await self._store.run(lambda store: store.delete(str(thread_id)))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Remove all checkpoints of these runs, with their writes, in all threads. Each thread changes at once.

        A graph that uses a DeltaChannel may lose values that later checkpoints need: see LangGraph's warning.

        Args:
            run_ids: Values of `run_id` in the metadata of checkpoints. LangGraph's server sets it; elsewhere set it
                with `config={"metadata": {"run_id": …}}`.
        """
        runs = [str(run) for run in run_ids]
        self._store.wait(lambda store: store.delete_runs(runs))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """`delete_for_runs` for a program with an event loop."""
        runs = [str(run) for run in run_ids]
        await self._store.run(lambda store: store.delete_runs(runs))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Add all checkpoints and writes of a thread to another one. The target changes at once.

        Args:
            source_thread_id: The thread to copy. One that does not exist is no error.
            target_thread_id: The thread that gets the copies. What it has already stays.
        """
        source, target = str(source_thread_id), str(target_thread_id)
        self._store.wait(lambda store: store.copy(source, target))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """`copy_thread` for a program with an event loop."""
        source, target = str(source_thread_id), str(target_thread_id)
        await self._store.run(lambda store: store.copy(source, target))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Remove old checkpoints. Each thread changes at once.

        Args:
            thread_ids: The threads. Those that do not exist are no error.
            strategy: `keep_latest` keeps the newest checkpoint of each namespace, and older ones from which LangGraph
                rebuilds a DeltaChannel of it. Namespaces of subgraph tasks whose checkpoint in the root is removed go
                as a whole. `delete` removes the threads.

        Raises:
            ValueError: There is no such strategy.
        """
        self._store.wait(_pruning(thread_ids, strategy))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """`prune` for a program with an event loop."""
        await self._store.run(_pruning(thread_ids, strategy))

    # ── LangGraph's objects and bytes ────────────────────────────────────────────────────────────────────────────────

    def _new(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> NewCheckpoint:
        values = checkpoint["channel_values"]
        described = cast("Mapping[str, Any]", get_checkpoint_metadata(config, metadata))
        rebuilt: Mapping[str, Any] = described.get("counters_since_delta_snapshot") or {}
        parents: Mapping[str, Any] = described.get("parents") or {}
        channels = [
            (f"{'v' if name in values else 'd' if name in rebuilt else 'e'}{name}", version)
            for name, version in checkpoint["channel_versions"].items()
        ]
        ns = _ns(config) or ""
        return NewCheckpoint(
            thread=str(_thread(config)),
            ns=ns,
            id=checkpoint["id"],
            parent=_checkpoint_id(config) or "",
            root=str(parents.get("", "")) if ns else "",
            run=str(described.get("run_id") or ""),
            content=self.serde.dumps_typed({key: checkpoint[key] for key in checkpoint if key not in _STORED_APART}),  # type: ignore[literal-required]  # the keys of a TypedDict
            metadata=self.serde.dumps_typed(described),
            channels=channels,
            values={name: self.serde.dumps_typed(values[name]) for name in new_versions if name in values},
            changed=frozenset(new_versions),
        )

    def _complete(self, new: NewCheckpoint, checkpoint: Checkpoint, lacking: set[str]) -> NewCheckpoint:
        """The same with the values of these channels, which the store no longer has."""
        values = {name: self.serde.dumps_typed(checkpoint["channel_values"][name]) for name in lacking}
        return replace(new, values={**new.values, **values})

    def _writing(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
    ) -> _Work:
        stored = [
            Write(task_path, task_id, WRITES_IDX_MAP.get(channel, index), channel, self.serde.dumps_typed(value))
            for index, (channel, value) in enumerate(writes)
        ]
        thread, ns, checkpoint_id = str(_thread(config)), _ns(config) or "", _checkpoint_id(config) or ""
        return lambda store: store.put_writes(thread, ns, checkpoint_id, stored)

    def _tuple(self, thread: Any, loaded: Loaded) -> CheckpointTuple:
        stored, values, writes = loaded
        read = self.serde.loads_typed
        checkpoint = {
            **read(stored.content),
            "id": stored.id,
            "channel_values": {name: read(value) for name, value in values.items()},
            "channel_versions": {channel.name: channel.version for channel in stored.channels},
        }
        return CheckpointTuple(
            config=_config_of(thread, stored.ns, stored.id),
            checkpoint=cast("Checkpoint", checkpoint),
            metadata=self._read_metadata(stored.metadata),
            parent_config=_config_of(thread, stored.ns, stored.parent) if stored.parent else None,
            pending_writes=[(write.task, write.channel, read(write.value)) for write in writes],
        )

    def _histories(self, channels: Sequence[str], found: History) -> dict[str, DeltaChannelHistory]:
        read = self.serde.loads_typed
        histories: dict[str, DeltaChannelHistory] = {}
        for name in channels:
            histories[name] = {
                "writes": [(one.task, one.channel, read(one.value)) for one in found.writes if one.channel == name]
            }
            if name in found.values:
                histories[name]["seed"] = read(found.values[name])
        return histories

    def _read_metadata(self, metadata: Typed) -> CheckpointMetadata:
        return cast("CheckpointMetadata", self.serde.loads_typed(metadata))


class _Step(NamedTuple):
    """What to read next, and what the answer gives to the caller."""

    work: _Work
    receive: Callable[[Any], Iterable[CheckpointTuple]]


class _Listing:
    """Reads for `list` and `alist`: pages of checkpoints without values, then the values of those that match."""

    def __init__(
        self,
        to_tuple: Callable[[Any, Loaded], CheckpointTuple],
        read_metadata: Callable[[Typed], Any],
        filter: dict[str, Any] | None,
        before: RunnableConfig | None,
        limit: int | None,
    ) -> None:
        self._to_tuple, self._read_metadata = to_tuple, read_metadata
        self._filter = filter or {}
        self._before = _checkpoint_id(before) if before else None
        self._left = limit

    def begin(self, thread: Any, config: RunnableConfig | None) -> None:
        """Begin with this thread."""
        self._thread = thread
        self._ns = _ns(config) if config else None
        self._only = _checkpoint_id(config) if config else None
        self._cursor, self._more = self._before, True
        self._matching: list[tuple[str, str]] = []

    def next(self) -> _Step | None:
        """None: this thread has no more, or the limit is reached."""
        thread, left = str(self._thread), self._left
        if left is not None and left <= 0:
            return None
        if self._matching:
            some = self._matching[: _BATCH if left is None else min(_BATCH, left)]
            return _Step(_loading(thread, some), self._loaded)
        if self._more:
            ns, cursor = self._ns, self._cursor
            page = _PAGE if left is None or self._filter else min(_PAGE, left)
            return _Step(_paging(thread, ns, cursor, page), self._found)
        return None

    def _found(self, page: list[StoredCheckpoint]) -> Iterable[CheckpointTuple]:
        self._more = bool(page) and self._ns is not None
        self._cursor = page[-1].id if page else None
        self._matching = [(one.ns, one.id) for one in page if self._matches(one)]
        return ()

    def _matches(self, one: StoredCheckpoint) -> bool:
        if self._only is not None and one.id != self._only:
            return False
        if not self._filter:
            return True
        metadata = self._read_metadata(one.metadata)
        return all(metadata.get(key) == value for key, value in self._filter.items())

    def _loaded(self, batch: list[Loaded | None]) -> Iterable[CheckpointTuple]:
        del self._matching[: len(batch)]
        found = [one for one in batch if one is not None]  # the others were removed meanwhile
        if self._left is not None:
            self._left -= len(found)
        for one in found:
            yield self._to_tuple(self._thread, one)


def _putting(new: NewCheckpoint) -> _Work:
    return lambda store: store.put(new)


def _loading(thread: str, wanted: Sequence[tuple[str, str]]) -> _Work:
    return lambda store: store.load(thread, wanted)


def _tracing(config: RunnableConfig, channels: Sequence[str]) -> _Work:
    thread, ns, checkpoint_id = str(_thread(config)), _ns(config) or "", _checkpoint_id(config) or ""
    return lambda store: store.history(thread, ns, checkpoint_id, channels)


def _paging(thread: str, ns: str | None, before: str | None, limit: int) -> _Work:
    return lambda store: store.heads(thread, ns, before, limit)


async def _all_threads(store: CheckpointStore) -> list[str]:
    return sorted([thread async for thread in store.threads()])


def _pruning(thread_ids: Sequence[str], strategy: str) -> _Work:
    if strategy not in ("keep_latest", "delete"):
        raise ValueError(f"there is no strategy {strategy!r}: 'keep_latest' or 'delete'")
    threads = [str(thread) for thread in thread_ids]

    async def prune(store: CheckpointStore) -> None:
        for thread in threads:
            await (store.delete(thread) if strategy == "delete" else store.prune(thread, 1))

    return prune


# ── what a config says ───────────────────────────────────────────────────────────────────────────────────────────────


def _thread(config: RunnableConfig) -> Any:
    thread = config.get("configurable", {}).get("thread_id")
    if thread is None:
        raise ValueError("the config names no thread: pass config={'configurable': {'thread_id': …}}")
    return thread


def _ns(config: RunnableConfig) -> str | None:
    return cast("str | None", config.get("configurable", {}).get("checkpoint_ns"))


def _checkpoint_id(config: RunnableConfig) -> str | None:
    return cast("str | None", config.get("configurable", {}).get("checkpoint_id"))


def _config_of(thread: Any, ns: str, checkpoint_id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread, "checkpoint_ns": ns, "checkpoint_id": checkpoint_id}}
