# SPDX-License-Identifier: Apache-2.0
"""The part of Kubernetes that touches our containers, played on this machine: pods, probes, Services, rolling updates.

A pod is a process in a network and a mount namespace of its own, with an address, a read-only root file system and no
capabilities (`pod.sh`). Command, arguments, environment, probes, preStop and grace period are those of the rendered
manifest, literally. Services are names in the pods' /etc/hosts that lead to ready pods. What is not played: images, the scheduler,
seccomp, NetworkPolicies.

`enter` must have been called: everything is in namespaces that end with this process.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from nervenet.dev.servers import tied
from tests.support.environment import ROOT

INSIDE: Final = "NERVENET_TEST_CLUSTER"
GATEWAY: Final = "10.77.0.1"
_AS_NOBODY: Final = (
    *("setpriv", "--reuid", "10001", "--regid", "10001", "--clear-groups"),
    *("--no-new-privs", "--bounding-set", "-all", "--inh-caps", "-all"),
)


_APART: Final = ("--net", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc")
"""With a process namespace too: no pod outlives this program."""


def enter() -> None:
    """Run this program again in a network and a mount namespace of its own, if it is not there yet. Needs root."""
    if os.environ.get(INSIDE):
        return
    if os.geteuid() != 0:
        sys.exit("network namespaces need root: run it as root, in a container with CAP_SYS_ADMIN and CAP_NET_ADMIN")
    command = ["unshare", *_APART, sys.executable, *sys.orig_argv[1:]]
    os.execvpe(command[0], command, os.environ | {INSIDE: "1"})


def which(program: str) -> str:
    """Where a program is."""
    found = shutil.which(program)
    assert found is not None, f"{program} is not installed"
    return found


def run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=30)


def image_environment() -> dict[str, str]:
    """What deploy/Dockerfile sets for the runtime."""
    text = (ROOT / "deploy/Dockerfile").read_text()
    (line,) = re.findall(r"^ENV (PATH=\S+ PYTHONUNBUFFERED.*)$", text, re.MULTILINE)
    pairs = dict(word.split("=", 1) for word in shlex.split(line))
    return pairs | {
        "PATH": pairs["PATH"].replace("$PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    }


class Pod:
    """One pod, from its start to its end. `ended` is None while it runs."""

    def __init__(self, cluster: Cluster, name: str, template: Mapping[str, Any], number: int) -> None:
        self.name, self.labels = name, template["metadata"]["labels"]
        self._cluster, self._spec = cluster, template["spec"]
        (self._container,) = self._spec["containers"]
        self.address = f"10.77.{1 + number // 250}.{1 + number % 250}"
        self.started = self.ready = self.leaving = False
        self.killed = False
        self.restarts = 0
        self.changed = asyncio.Event()
        self.took: float | None = None
        """Seconds from its deletion to its end."""
        self._environment = image_environment() | self._given()
        self.log = cluster.folder / f"{name}.log"
        self._process = self._begin(number)
        self._probing = asyncio.create_task(self._probe_all())

    def __repr__(self) -> str:
        return f"<Pod {self.name} {self.address}>"

    @property
    def code(self) -> int | None:
        return self._process.poll()

    def _given(self) -> dict[str, str]:
        """The container's own variables, with `$(NAME)` replaced as kubelet does."""
        found: dict[str, str] = {}
        for one in self._container["env"]:
            if "valueFrom" in one:
                (path,) = one["valueFrom"].values()
                assert path == {"fieldPath": "status.podIP"}, f"{one} is not played here"
                found[one["name"]] = self.address
            else:
                found[one["name"]] = re.sub(r"\$\((\w+)\)", lambda m: found.get(m[1], m[0]), one["value"])
        return found

    def _begin(self, number: int) -> subprocess.Popen[bytes]:
        space, link = f"pod{number}", f"veth{number}"
        run("ip", "netns", "add", space)
        run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", space)
        run("ip", "link", "set", link, "master", "pods", "up")
        for words in (f"addr add {self.address}/16 dev eth0", "link set eth0 up", "link set lo up"):
            run("ip", "-n", space, *words.split())
        root = self._cluster.folder / f"root-{number}"
        root.mkdir()
        command = [which("ip"), "netns", "exec", space, "unshare", "--mount", "--propagation", "private"]
        command += ["bash", str(Path(__file__).with_name("pod.sh")), str(root), *self._inside(self._command())]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                tied(command), env=os.environ | self._files(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def _files(self) -> dict[str, str]:
        volumes = {one["name"]: one for one in self._spec["volumes"]}
        files = []
        for mount in self._container["volumeMounts"]:
            volume = volumes[mount["name"]]
            if "hostPath" in volume:
                files.append(f"{self._cluster.folder}{volume['hostPath']['path']}|{mount['mountPath']}")
            elif "secret" in volume:
                files.append(f"{self._cluster.folder}/{volume['secret']['secretName']}|{mount['mountPath']}")
            else:
                assert "emptyDir" in volume and mount["mountPath"] == "/tmp", f"{volume} is not played here"
        return {
            "POD_HOSTS": str(self._cluster.hosts),
            "POD_PYTHON": str(Path(sys.base_prefix).resolve()),
            "POD_REPOSITORY": str(ROOT),
            "POD_VENV": sys.prefix,
            "POD_FILES": "\n".join(files),
        }

    def _command(self) -> list[str]:
        return [*self._container["command"], *self._container.get("args", ())]

    def _inside(self, command: list[str]) -> list[str]:
        variables = [f"{name}={value}" for name, value in self._environment.items()]
        return [*_AS_NOBODY, "env", "-i", "--chdir=/app", *variables, *command]

    async def exec(self, command: list[str], within: float) -> bool:
        """Run a command in the container, as a probe or a hook does; whether it ended well in time."""
        here = ["nsenter", "-t", str(self._process.pid), "-m", "-n", "-r", *self._inside(command)]
        process = await asyncio.create_subprocess_exec(
            *here, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        try:
            async with asyncio.timeout(within):
                return await process.wait() == 0
        except TimeoutError:
            process.kill()
            return False

    # ── probes ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _probe_all(self) -> None:
        if not await self._until(self._container["startupProbe"], good=True):
            self._fail()
            return
        self.started = True
        await asyncio.gather(self._follow_readiness(), self._follow_liveness())

    async def _until(self, probe: Mapping[str, Any], *, good: bool) -> bool:
        """Repeat a probe until its first success; false where it fails as often as it may."""
        for _ in range(probe["failureThreshold"]):
            if await self._probe(probe) is good:
                return True
            await asyncio.sleep(probe["periodSeconds"])
        return False

    async def _follow_readiness(self) -> None:
        probe, failures = self._container["readinessProbe"], 0
        while True:
            if await self._probe(probe):
                failures = 0
                self._set_ready(True)
            elif (failures := failures + 1) >= probe["failureThreshold"]:
                self._set_ready(False)
            await asyncio.sleep(probe["periodSeconds"])

    async def _follow_liveness(self) -> None:
        """Kubelet asks no more once a pod is being deleted."""
        probe, failures = self._container["livenessProbe"], 0
        while not self.leaving:
            failures = 0 if await self._probe(probe) else failures + 1
            if failures >= probe["failureThreshold"]:
                self._fail()
                return
            await asyncio.sleep(probe["periodSeconds"])

    def _fail(self) -> None:
        if not self.leaving:
            self.restarts += 1
            self._process.kill()
            self._set_ready(False)

    async def _probe(self, probe: Mapping[str, Any]) -> bool:
        if "exec" in probe:
            return await self.exec(probe["exec"]["command"], probe["timeoutSeconds"])
        assert set(probe["grpc"]) <= {"port", "service"}
        async with grpc.aio.insecure_channel(f"{self.address}:{probe['grpc']['port']}") as channel:
            request = health_pb2.HealthCheckRequest(service=probe["grpc"]["service"])
            try:
                answer = await health_pb2_grpc.HealthStub(channel).Check(request, timeout=probe["timeoutSeconds"])
            except grpc.aio.AioRpcError:
                return False
            return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    def _set_ready(self, ready: bool) -> None:
        ready = ready and not self.leaving
        if ready is not self.ready:
            self.ready = ready
            self.changed.set()
            self._cluster.write_hosts()

    # ── its end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def delete(self) -> None:
        """Out of the Services, preStop, SIGTERM, and SIGKILL when the grace period is over."""
        began, grace = time.monotonic(), self._spec["terminationGracePeriodSeconds"]
        self.leaving = True
        self._set_ready(False)
        hook = self._container.get("lifecycle", {}).get("preStop")
        if hook:
            await self.exec(hook["exec"]["command"], grace)
        self._process.send_signal(signal.SIGTERM)
        while self._process.poll() is None and time.monotonic() - began < grace:
            await asyncio.sleep(0.05)
        if self._process.poll() is None:
            self.killed = True
            self._process.kill()
        await asyncio.to_thread(self._process.wait)
        self.took = time.monotonic() - began
        await self.close()

    async def close(self) -> None:
        self._probing.cancel()
        await asyncio.wait([self._probing])
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


class Cluster:
    """Pods by the name of their Deployment. `objects` are the rendered manifests."""

    def __init__(self, folder: Path, objects: list[dict[str, Any]], names: Mapping[str, str]) -> None:
        self.folder, self._objects, self._names = folder, objects, names
        self.hosts = folder / "hosts"
        self.pods: dict[str, list[Pod]] = {}
        self.gone: list[Pod] = []
        self._numbers = itertools.count()
        self._leaving: list[asyncio.Task[None]] = []
        self.write_hosts()
        run("mount", "--bind", str(self.hosts), "/etc/hosts")  # our clients are in the cluster too
        Path("/run/netns").mkdir(parents=True, exist_ok=True)
        run("mount", "-t", "tmpfs", "tmpfs", "/run/netns")
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "pods", "type", "bridge")
        run("ip", "addr", "add", f"{GATEWAY}/16", "dev", "pods")
        run("ip", "link", "set", "pods", "up")

    @property
    def deployments(self) -> dict[str, dict[str, Any]]:
        return {one["metadata"]["name"]: one for one in self._objects if one["kind"] == "Deployment"}

    def write_hosts(self) -> None:
        """What the cluster's DNS answers: the addresses of the ready pods of each Service."""
        lines = ["127.0.0.1 localhost", *(f"{address} {name}" for name, address in self._names.items())]
        ready = [pod for pods in self.pods.values() for pod in pods if pod.ready]
        for service in (one for one in self._objects if one["kind"] == "Service"):
            name, selector = service["metadata"]["name"], service["spec"]["selector"].items()
            lines += [f"{pod.address} {name}.mesh.svc {name}" for pod in ready if selector <= pod.labels.items()]
        self.hosts.write_text("\n".join(lines) + "\n")  # in place: pods have this very file

    async def start(self, deployment: str) -> None:
        """All pods of a Deployment; return when they are ready."""
        self.pods[deployment] = [self._pod(deployment) for _ in range(self.deployments[deployment]["spec"]["replicas"])]
        await asyncio.gather(*(self._available(pod, deployment) for pod in self.pods[deployment]))

    async def roll(self, deployment: str) -> None:
        """A rolling update: maxSurge 1, maxUnavailable 0. An old pod may still be leaving when the next new one starts."""
        for old in list(self.pods[deployment]):
            new = self._pod(deployment)
            self.pods[deployment].append(new)
            await self._available(new, deployment)
            self.pods[deployment].remove(old)
            self.gone.append(old)
            self._leaving.append(asyncio.create_task(old.delete()))
        await asyncio.gather(*self._leaving)

    def _pod(self, deployment: str) -> Pod:
        number = next(self._numbers)
        return Pod(self, f"{deployment}-{number}", self.deployments[deployment]["spec"]["template"], number)

    async def _available(self, pod: Pod, deployment: str) -> None:
        """Ready for minReadySeconds."""
        while not pod.ready:
            if pod.code is not None:
                raise AssertionError(f"{pod} ended with {pod.code} before it was ready:\n{pod.log.read_text()[-3000:]}")
            try:
                async with asyncio.timeout(1):
                    await pod.changed.wait()
            except TimeoutError:
                continue
        await asyncio.sleep(self.deployments[deployment]["spec"].get("minReadySeconds", 0))

    async def close(self) -> None:
        await asyncio.gather(*(pod.close() for pods in self.pods.values() for pod in pods))
