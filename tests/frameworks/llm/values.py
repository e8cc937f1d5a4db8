# SPDX-License-Identifier: Apache-2.0
"""The types of `app`, which workflows and tests share."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel


@dataclass
class Place:
    city: str


class Forecast(BaseModel):
    city: str
    degrees: int
