# SPDX-License-Identifier: Apache-2.0
"""Mistakes put into good objects, each of which `objects` must find: a check that cannot fail checks nothing."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from objects import problems

Objects = list[dict[str, Any]]


def unseen(objects: Objects) -> Iterator[str]:
    """The mistakes that nobody objects to. `objects` are good ones, with a ScaledObject and certificates."""
    for what, spoil in MISTAKES.items():
        broken = copy.deepcopy(objects)
        spoil(broken)
        if not any(problems(broken)):
            yield what


def _one(objects: Objects, kind: str) -> dict[str, Any]:
    return next(one for one in objects if one["kind"] == kind)


def _pod(objects: Objects) -> dict[str, Any]:
    pod: dict[str, Any] = _one(objects, "Deployment")["spec"]["template"]["spec"]
    return pod


def _box(objects: Objects) -> dict[str, Any]:
    box: dict[str, Any] = _pod(objects)["containers"][0]
    return box


MISTAKES: dict[str, Callable[[Objects], object]] = {
    "a field that Kubernetes does not have": lambda o: _pod(o).update(terminationGracePeriod=30),
    "text where Kubernetes wants a number": lambda o: _one(o, "Deployment")["spec"].update(replicas="three"),
    "a kind that Kubernetes does not have": lambda o: _one(o, "Service").update(apiVersion="v2"),
    "a field that KEDA does not have": lambda o: _one(o, "ScaledObject")["spec"].update(minReplicas=0),
    "a key of the trigger that the scaler refuses": lambda o: _one(o, "ScaledObject")["spec"]["triggers"][0][
        "metadata"
    ].update(slot="2"),
    "a field that cert-manager does not have": lambda o: _one(o, "Certificate")["spec"].update(dnsName="a"),
    "a pod as root": lambda o: _pod(o)["securityContext"].update(runAsUser=0),
    "a pod without seccomp": lambda o: _pod(o)["securityContext"].pop("seccompProfile"),
    "a pod with a token of the API": lambda o: _pod(o).pop("automountServiceAccountToken"),
    "a file system that can be written": lambda o: _box(o)["securityContext"].update(readOnlyRootFilesystem=False),
    "capabilities": lambda o: _box(o)["securityContext"].pop("capabilities"),
    "a container without a limit of memory": lambda o: _box(o)["resources"].pop("limits"),
    "an image that may change": lambda o: _box(o).update(image="nervenet:latest"),
    "a grace period that ends before the drain": lambda o: _pod(o).update(terminationGracePeriodSeconds=30),
    "a variable that is set twice": lambda o: _box(o)["env"].append({"name": "NERVENET_LOG", "value": "pretty"}),
    "a Service that selects nothing": lambda o: _one(o, "Service")["spec"]["selector"].update(app="other"),
    "a Service of a port that nobody has": lambda o: _one(o, "Service")["spec"]["ports"][0].update(targetPort="web"),
    "two objects of one name": lambda o: o.append(_one(o, "Service")),
}
