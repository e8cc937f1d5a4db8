# SPDX-License-Identifier: Apache-2.0
"""`nervenet doctor`: what is wrong with a mesh and with what it stands on, and what to do about it.

    check.py           a check: its name, its status, what was found, the remedy
    redis_checks.py    Redis: version, persistence, memory, replication, clock, keys
    archive_checks.py  the archive: reach, what waits for it
    blob_checks.py     the blob store: whether it can be written and read
    etcd_checks.py     etcd: members, leader, alarms, size
    mesh_checks.py     nodes, agents, queues, workflows, questions to people, over gRPC
    certificates.py    when a certificate expires
    policy_checks.py   whether the policy file can be used
    credentials.py     tokens and JWTs: what expires, what is missing, whether the issuer's keys can be read

Each module asks first and then decides, in functions without I/O. A part that does not answer is a finding, not the end
of the examination.
"""
