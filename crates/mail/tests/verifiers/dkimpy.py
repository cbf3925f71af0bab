"""Checks signatures with Debian's python3-dkim (and python3-nacl), which shares no code with ours.

usage: dkimpy.py KEYS MESSAGE…

KEYS has a line "NAME TXT" for each DNS record there is. Prints a line for each signature of each
message, from the top: file, selector, algorithm, "pass" or "fail".
"""

import sys
from pathlib import Path

import dkim

records = {}
for line in Path(sys.argv[1]).read_text().splitlines():
    name, text = line.split(" ", 1)
    records[name.encode() + b"."] = text.encode()


def look_up(name, timeout=5):
    return records.get(name if name.endswith(b".") else name + b".")


for path in map(Path, sys.argv[2:]):
    message = path.read_bytes()
    head = message.split(b"\r\n\r\n", 1)[0]
    signatures = [line for line in head.split(b"\r\n") if line.lower().startswith(b"dkim-signature:")]
    for number in range(len(signatures)):
        checked = dkim.DKIM(message, minkey=2048)
        try:
            verdict = "pass" if checked.verify(idx=number, dnsfunc=look_up) else "fail"
        except dkim.DKIMException:
            verdict = "fail"
        fields = checked.signature_fields
        print(path.name, fields[b"s"].decode(), fields[b"a"].decode(), verdict)
