# SPDX-License-Identifier: Apache-2.0
"""The archive: closed runs as lines of JSON in a folder or a bucket, for people, for other tools and for the nodes.

    record.py     one run as a line, and back
    segment.py    the objects of a batch: lines, a list and an index, and their names
    index.py      which object has a workflow: sorted tables, merged as they become many
    reader.py     find one run, read a page of a list
    sink.py       the folder or the bucket (library obstore, extra `nervenet[blobs]`)

It knows nothing of Redis. Who writes a batch, and when, is in `streams/archive.py` and `node/archiving`; docs/howto/archive.md
describes the lines.
"""
