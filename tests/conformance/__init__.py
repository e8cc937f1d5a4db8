# SPDX-License-Identifier: Apache-2.0
"""The conformance suite: what every agent owes the mesh, whatever language it is written in and however it is connected.

    python -m tests.conformance                          # every candidate of this repository, one table
    python -m tests.conformance --command "./my-agent"   # yours (README.md beside this says what it has to serve)

Black box: a candidate is a command. The suite has a mesh of two nodes, starts agents by that command, runs tasks over
gRPC, and looks at three things only: what the mesh answers, what the handlers wrote into a file, and how the process ended.
"""
