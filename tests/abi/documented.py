#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""docs/ABI.md has a row for every command of exo.h, with the errors that exo.h promises and no others, and
names every end, engine and parameter of the module. Usage: documented.py SOURCE_FOLDER"""
import errno
import pathlib
import re
import sys

top = pathlib.Path(sys.argv[1])
header = (top / "kmod/uapi/linux/exo.h").read_text()
page = (top / "docs/ABI.md").read_text()
faults = []

# What every call may answer, by the rules at the head of both.
GENERAL = {"ENOTTY"}


def errors(text):
    """The errno names in a text."""
    return {word for word in re.findall(r"\bE[A-Z0-9]+\b", text) if hasattr(errno, word)} - GENERAL


def promised(command):
    """What exo.h says of a command after "Errors", or nothing."""
    comment = re.search(r"/\*[\s*]*" + command + r":.*?\*/", header, re.S)
    text = comment.group(0).partition("Errors")[2] if comment else ""
    return errors(text.partition("Of read(2)")[0])


def rows():
    """Commands of the tables' first cells, with their last cells: the errors."""
    for line in page.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 4 and (name := re.match(r"`(EXO_\w+)`", cells[0])):
            yield name.group(1), cells[3]


commands = re.findall(r"^#define\s+(EXO_\w+)\s+_IO[RW]*\(", header, re.M)
documented = dict(rows())
if len(commands) < 20:
    faults.append(f"only {len(commands)} commands found in exo.h")
for command in commands:
    if command not in documented:
        faults.append(f"{command} has no row in the tables of docs/ABI.md")
    elif command != "EXO_URING_TRAVERSE" and promised(command) != errors(documented[command]):
        only = promised(command) ^ errors(documented[command])
        faults.append(f"{command}: only one of exo.h and docs/ABI.md has {', '.join(sorted(only))}")
for row in documented:
    if row not in commands:
        faults.append(f"docs/ABI.md has a row for {row}, which exo.h has not")

for prefix, kind in ("EXO_END_", "end"), ("EXO_ENGINE_", "engine"), ("EXO_REASON_", "reason"):
    for name in re.findall(r"^\s+" + prefix + r"(\w+)\s*=", header, re.M):
        if not re.search(rf"\b{name}\b", page):
            faults.append(f"docs/ABI.md does not tell the {kind} {name}")
for source in (top / "kmod").glob("*.c"):
    for name in re.findall(r"^module_param\w*\((\w+),", source.read_text(), re.M):
        if f"`{name}`" not in page:
            faults.append(f"docs/ABI.md does not tell the parameter {name}")

for fault in faults:
    print(fault)
sys.exit(bool(faults))
