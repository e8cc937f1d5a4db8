# SPDX-License-Identifier: Apache-2.0
"""Configuration, read once: argument or flag > environment > `nervenet.toml` > default.

    config = Config.load(address="mesh.internal:7700")

`config.py` finds the value of each setting, `settings.py` is the table of settings, `values.py` reads single values.
"""

from nervenet.config.config import Config, Durability, LogForm
from nervenet.config.settings import SETTINGS, Setting, parse_argument
from nervenet.config.values import is_loopback, parse_duration, parse_size, public_url, split_host_port

__all__ = [
    "SETTINGS",
    "Config",
    "Durability",
    "LogForm",
    "Setting",
    "is_loopback",
    "parse_argument",
    "parse_duration",
    "parse_size",
    "public_url",
    "split_host_port",
]
