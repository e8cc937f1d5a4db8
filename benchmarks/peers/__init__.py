# SPDX-License-Identifier: Apache-2.0
"""What nervenet is measured beside, one file for each: how it is started, what its callers do, and what it guarantees.

A file has the description of its system, a `Peer`, and the functions that its processes run. It is imported by the benchmark, which has
nervenet and no framework, and by those processes, which have the framework. So frameworks are imported inside the functions.
"""
