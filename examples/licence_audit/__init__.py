# SPDX-License-Identifier: Apache-2.0
"""The licence audit: every distribution installed here, its licence texts read, checked and judged by a mesh of agents.

models      what travels between the agents
documents   find the distributions and their licence files          (plain functions, no mesh)
classify    which licences these texts really are
extract     who holds the copyright, what is permitted, required, forbidden
validate    what was found against what the metadata declares
summarize   one paragraph and a verdict; llm: the same by a language model, where one is configured
agents      those functions as agents; effects: each attempt leaves a trace outside the mesh
workflow    the order of things, and when to ask a human; app: what `nervenet node` and `nervenet agent` load
report      report.json and report.html; demo: start a mesh, run the audit, show it; terminal: Ctrl-C while it is kept
"""
