"""Searches files for words in every disguise that a leak could wear (privacy.md 5.5).

Standard input: {"words": [...], "places": [...]}; a place is a file or a folder.
Standard output: [{"file", "word", "disguise", "offset"}].
With {"plant": FOLDER} instead of places it writes one file for each word and disguise there, for the
scanner's own test: a scanner that cannot find is no scanner.
"""

import base64
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import urllib.parse
import zlib


def shapes(word):
    """Name and bytes of each form of a word."""
    forms = {}
    for case, text in (("", word), ("lower ", word.lower()), ("upper ", word.upper())):
        raw = text.encode()
        forms[case + "raw"] = raw
        percent = urllib.parse.quote(text, safe="")
        forms[case + "percent"] = percent.encode()
        forms[case + "percent, only the @"] = text.replace("@", "%40").encode()
        forms[case + "double percent"] = urllib.parse.quote(percent, safe="").encode()
        for offset in range(3):
            # The characters that do not depend on what stands before or after the word.
            coded = base64.b64encode(b"\0" * offset + raw)
            start = (8 * offset + 5) // 6
            end = (8 * (offset + len(raw))) // 6
            forms[f"{case}base64 at {offset}"] = coded[start:end]
            forms[f"{case}base64url at {offset}"] = coded[start:end].replace(b"+", b"-").replace(b"/", b"_")
        coded = base64.b32encode(raw)[: 8 * len(raw) // 5]
        forms[case + "base32"] = coded
        forms[case + "base32, small"] = coded.lower()
        forms[case + "hex"] = raw.hex().encode()
        forms[case + "hex, capitals"] = raw.hex().upper().encode()
        forms[case + "quoted-printable"] = text.replace("@", "=40").encode()
        forms[case + "HTML entity"] = text.replace("@", "&#64;").encode()
        forms[case + "HTML entity, hex"] = text.replace("@", "&#x40;").encode()
        forms[case + "JSON escape"] = text.replace("@", "\\u0040").encode()
        forms[case + "reversed"] = text[::-1].encode()
        forms[case + "UTF-16LE"] = text.encode("utf-16-le")
        forms[case + "UTF-16BE"] = text.encode("utf-16-be")
        for name in ("md5", "sha1", "sha256"):
            digest = hashlib.new(name, raw).digest()
            forms[f"{case}{name}"] = digest
            forms[f"{case}{name} in hex"] = digest.hex().encode()
            forms[f"{case}{name} in base64"] = base64.b64encode(digest).rstrip(b"=")
    return forms


def disguises(word):
    """Name and bytes of each form of an address, of what stands before its @ and of what stands after."""
    local, at, domain = word.partition("@")
    forms = shapes(word)
    if at:
        forms |= {f"local part, {name}": form for name, form in shapes(local).items()}
        forms |= {f"domain, {name}": form for name, form in shapes(domain).items()}
        try:
            forms["A-label"] = domain.encode("idna")
        except UnicodeError:
            pass
    seen, unique = set(), []
    for name, form in forms.items():
        if form not in seen:
            seen.add(form)
            unique.append((name, form))
    return unique


def files(place):
    if os.path.isfile(place):
        yield place
    for folder, _, names in os.walk(place):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path) and not os.path.islink(path):
                yield path


def unpacked(data):
    """What zlib and gzip streams in the bytes hold."""
    for start in (b"\x1f\x8b\x08", b"\x78\x01", b"\x78\x9c", b"\x78\xda"):
        at = data.find(start)
        while at >= 0:
            try:
                kind = 31 if start[0] == 0x1F else 15
                yield zlib.decompressobj(kind).decompress(data[at:], 1 << 20)
            except zlib.error:
                pass
            at = data.find(start, at + 1)


def suspicious(places, forms):
    """The files in which grep finds any form: it looks for all at once, so that hundreds of forms in a
    hundred megabytes take seconds. A form that holds a line end is looked for by its longest piece."""
    with tempfile.NamedTemporaryFile() as patterns:
        patterns.write(b"\n".join(max(form.split(b"\n"), key=len) for form in forms) + b"\n")
        patterns.flush()
        command = ["grep", "-r", "-l", "-Z", "-a", "-F", "-f", patterns.name, "--", *places]
        found = subprocess.run(command, env={"LC_ALL": "C", "PATH": os.environ["PATH"]}, stdout=subprocess.PIPE)
    # 2 is also a file that went away meanwhile.
    return [os.fsdecode(path) for path in found.stdout.split(b"\0") if path]


def main():
    task = json.load(sys.stdin)
    forms = [(word, name, form) for word in task["words"] for name, form in disguises(word)]
    if "plant" in task:
        for number, (_, name, form) in enumerate(forms):
            with open(os.path.join(task["plant"], f"{number:04}-{name.replace('/', '-')}"), "wb") as file:
                file.write(b"before \x00\xff" + form + b"\n after")
        with open(os.path.join(task["plant"], "packed"), "wb") as file:
            file.write(b"noise" + zlib.compress(b"x" * 100 + forms[0][2]))
        json.dump([{"word": word, "disguise": name} for word, name, _ in forms], sys.stdout)
        return
    suspects = set(suspicious(task["places"], [form for _, _, form in forms]))
    findings = []
    for path in (path for place in task["places"] for path in files(place)):
        try:
            with open(path, "rb") as file:
                data = file.read()
        except FileNotFoundError:
            continue
        for text in [data] * (path in suspects) + list(unpacked(data)):
            for word, name, form in forms:
                offset = text.find(form)
                if offset >= 0:
                    findings.append({"file": path, "word": word, "disguise": name, "offset": offset})
    json.dump(findings, sys.stdout)


main()
