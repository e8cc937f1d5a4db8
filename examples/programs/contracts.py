# SPDX-License-Identifier: Apache-2.0
"""What `documents` and those who serve it say to each other: the same JSON in every language."""

from enum import Enum

from pydantic import BaseModel


class Doc(BaseModel):
    name: str
    text: str


class Facts(BaseModel):
    holders: list[str]


class Summary(BaseModel):
    text: str


class Verdict(Enum):
    YES = "yes"
    NO = "no"
