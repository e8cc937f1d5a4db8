# SPDX-License-Identifier: Apache-2.0
"""Other bytes in every key of the layout, one at a time, on a mesh of real processes.

`layout` reads the keys from the tables of protos/README.md (a test holds them against the code, so that none is forgotten),
`damages` says what is put there, `trial` runs one case: 50 good workflows end beside it, all processes live, and the victim
is BLOCKED, refused as unreadable, or not even touched. All cases take some minutes: `make damage`.
"""
