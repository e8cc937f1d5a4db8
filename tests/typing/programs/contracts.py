# SPDX-License-Identifier: Apache-2.0
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
