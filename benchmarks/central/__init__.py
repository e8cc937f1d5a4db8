# SPDX-License-Identifier: Apache-2.0
"""A central orchestrator, as a competent engineer writes it in a week: what nervenet is compared with (README.md says what it guarantees).

    definitions   the workflows
    engine        decides: an event in, effects out; no clock, no socket
    store         Redis: reads events, writes effects, loads what was saved
    orchestrator  the one process that owns every workflow
    supervisor    starts the orchestrator again when it ends
    worker        runs the steps
    client        starts workflows and awaits their results

It uses nothing of nervenet.
"""
