# SPDX-License-Identifier: Apache-2.0
"""`nervenet permissions redis ROLE` and `nervenet permissions etcd`: the rules of the least that a process needs in the stores."""

from __future__ import annotations

import argparse
import json

from nervenet.config import Config
from nervenet.registry.layout import Layout
from nervenet.streams.permissions import rules_of


def run_redis(args: argparse.Namespace) -> int:
    """Print the line for redis-cli, or for a file of users."""
    namespaces = _namespaces(args) if "node" in args.role else (Config.load(namespace=args.namespace).namespace,)
    user = args.user or "-".join(["nervenet", *dict.fromkeys(args.role)])
    rules = rules_of(args.role, *namespaces)
    if args.json:
        print(
            json.dumps(
                {
                    "user": user,
                    "namespace": ",".join(namespaces),
                    "roles": list(dict.fromkeys(args.role)),
                    "rules": rules,
                }
            )
        )
    else:
        print(f"ACL SETUSER {user} reset on '>PASSWORD' {' '.join(_quoted(rule) for rule in rules)}")
    return 0


def run_etcd(args: argparse.Namespace) -> int:
    """Print the commands of etcdctl for the user of nodes; nothing else speaks to etcd."""
    user, namespaces = args.user or "nervenet-node", _namespaces(args)
    if args.json:
        for namespace in namespaces:
            keys = Layout(namespace).prefix
            print(json.dumps({"user": user, "namespace": namespace, "permission": "readwrite", "prefix": keys}))
        return 0
    print(f"etcdctl role add {user}")
    for namespace in namespaces:
        print(f"etcdctl role grant-permission {user} readwrite --prefix=true {Layout(namespace).prefix}")
    print(f"etcdctl user add {user}:PASSWORD")
    print(f"etcdctl user grant-role {user} {user}")
    return 0


def _namespaces(args: argparse.Namespace) -> tuple[str, ...]:
    """Those of a node."""
    return Config.load(namespaces=args.namespace).served_namespaces


def _quoted(rule: str) -> str:
    """As redis-cli wants it: keys and channels have characters that a shell would read."""
    return f"'{rule}'" if set(rule) & set("~&*{%|( ") else rule
