# SPDX-License-Identifier: Apache-2.0
"""Shipment updates: find the route, estimate the arrival, check for exceptions, then notify the customer or ask a person first.

What you would copy:

models      what travels between the steps
network     the roads between the places, and the shortest way    (plain functions, no mesh)
services    how agents reach the services outside
agents      the four steps as agents
workflow    the order of things, and when a person is asked; app: what `nervenet node` and `nervenet agent` load

What `make logistics` needs besides:

generate    orders and updates from a seed, one in a hundred with a fault
outside     the carriers and the sender of messages, with a ledger that the mesh cannot change
processes   the mesh: every process, its log, its end; load: the callers; people: the person who answers, as a script
checks      what was lost, what was done twice; report: the table; run: the command
"""
