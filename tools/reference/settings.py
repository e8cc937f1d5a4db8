# SPDX-License-Identifier: Apache-2.0
"""The page of settings, from `nervenet.config.SETTINGS`."""

from __future__ import annotations

from nervenet.config import SETTINGS, Config

_INTRODUCTION = """\
A source is stronger the further left it is: argument or flag, environment, `nervenet.toml` in the working directory, default.
`nervenet config show` prints each setting with its value and its source. An unknown name, or a value that cannot be used, is
refused with a message (`ConfigError`, exit code 2).

Traces and logs are exported by OpenTelemetry's own variables (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_SDK_DISABLED`, …).
"""


def page() -> str:
    defaults = {name: value for name, value, _ in Config.load(environ={}, directory="/").shown()}
    parts = [_INTRODUCTION]
    for setting in SETTINGS:
        default = "not set" if setting.default is None else f"`{defaults[setting.name]}`"
        parts += [
            f"## {setting.name}\n",
            f"{setting.meaning}\n",
            f"- environment: `{setting.environment}`",
            f"- value: {setting.expected}",
            f"- default: {default}\n",
        ]
    return "\n".join(parts)
