# SPDX-License-Identifier: Apache-2.0
"""Every command and flag. What a command does is in its module, which is imported when it runs.

A module for each group of commands has its flags and its `COMMANDS`, in the order of the help page (`tree`). Each command names its module in
`nervenet.cli.commands` and its function, `run(args) -> int`. Flags of all commands may come before or after the command's name.
"""
