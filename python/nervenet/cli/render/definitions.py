# SPDX-License-Identifier: Apache-2.0
"""Workflows as data: lists, and one of them as the YAML that it may be written in."""

from __future__ import annotations

from io import StringIO

from google.protobuf.json_format import MessageToDict
from rich.text import Text
from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import walk_tree

from nervenet.cli.render import text
from nervenet.cli.render.table import Column, ids, prose, table
from nervenet.cli.render.text import DASH, View
from nervenet.v1 import coordinator_service_pb2 as pb
from nervenet.v1 import workflow_pb2 as workflow

_COLUMNS = (ids("DEFINITION"), Column("VERSION"), Column("STORED"), prose("DESCRIPTION"))


def listed(response: pb.ListDefinitionsResponse, view: View) -> list[Text]:
    rows = [
        (each.name, f"v{each.version}", view.when(each.create_time), each.description.partition("\n")[0] or DASH)
        for each in response.definitions
    ]
    return table(_COLUMNS, rows, view) if rows else []


def counted(response: pb.ListDefinitionsResponse, namespace: str) -> list[str]:
    if not response.definitions:
        return [f"Namespace {namespace} has no stored definition. To list workflows in code: nervenet nodes list"]
    return ["There are more."] if response.next_page_token else []


def put(response: pb.PutDefinitionResponse, *, check: bool) -> str:
    which = f"{response.definition.name} v{response.definition.version}"
    if check:
        return f"{which} is valid: {text.plural(len(response.definition.steps), 'step')}"
    return f"{which} stored" if response.created else f"{which} was stored already, with the same content"


def as_yaml(definition: workflow.Definition) -> str:
    data = MessageToDict(definition, preserving_proto_field_name=True)
    walk_tree(data)  # texts of several lines become blocks, as people write expressions
    yaml, out = YAML(), StringIO()
    yaml.width = 100
    yaml.indent(mapping=2, sequence=2, offset=0)
    yaml.dump(data, out)
    return out.getvalue().rstrip("\n")
