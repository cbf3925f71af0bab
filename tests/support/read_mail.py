"""Reads one message from standard input with Python's own parser and prints what it found as JSON.

Python's email package shares no code with ours or with mail-parser: a message that both read alike is
well formed. Defects that the parser notes are part of the answer.
"""

import json
import sys
from email import message_from_bytes, policy

message = message_from_bytes(sys.stdin.buffer.read(), policy=policy.default)
defects = [str(defect) for part in message.walk() for defect in part.defects]
for part in message.walk():
    for _, value in part.items():
        defects += [str(defect) for defect in getattr(value, "defects", [])]
text, html = message.get_body(("plain",)), message.get_body(("html",))
json.dump(
    {
        "headers": [[name.lower(), str(value)] for name, value in message.items()],
        "kinds": [part.get_content_type() for part in message.walk()],
        "charsets": [part.get_content_charset() for part in message.walk() if not part.is_multipart()],
        "text": text.get_content() if text else None,
        "html": html.get_content() if html else None,
        "defects": defects,
    },
    sys.stdout,
)
