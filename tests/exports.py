"""Exports as tests need them: any files under manifests in AWS's shape, and lines in the text of ION."""

import gzip
import hashlib
import json
import re
from base64 import b64encode

BARE = re.compile(r"(?!\$\d+$)[A-Za-z_$][A-Za-z0-9_$]*")
KEYWORDS = ("null", "true", "false", "nan")
ESCAPES = {ord('"'): '\\"', ord("'"): "\\'", ord("\\"): "\\\\", 10: "\\n", 9: "\\t", 13: "\\r"}
CONTROLS = {number: f"\\x{number:02x}" for number in (*range(32), 127)}
FOLDER = "p/AWSDynamoDB/01715685260608-c488b4e1"


def md5(body):
    return b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


def listed(folder, name, body, items):
    """An entry of manifest-files.json."""
    return {"itemCount": items, "md5Checksum": md5(body), "etag": "x-1", "dataFileS3Key": f"{folder}/data/{name}"}


def put_export(client, bucket, files, *, folder=FOLDER, entries=None, said_folder=None, **summary):
    """A full export of `files`, name -> (packed bytes, items), under `folder`; the manifest's URL.

    `said_folder`: the one that the manifests name, where the export was moved; `entries`: manifest-files.json as it is.
    """
    said = folder if said_folder is None else said_folder
    for name, (body, _) in files.items():
        client.put_object(Bucket=bucket, Key=f"{folder}/data/{name}", Body=body)
    if entries is None:
        entries = [listed(said, name, body, items) for name, (body, items) in files.items()]
    document = {
        "version": "2020-06-30",
        "exportArn": "arn:aws:dynamodb:eu-central-1:1:table/T/export/01715685260608-c488b4e1",
        "tableArn": "arn:aws:dynamodb:eu-central-1:1:table/T",
        "exportTime": "2024-05-14T11:14:20.608Z",
        "manifestFilesS3Key": f"{said}/manifest-files.json",
        "itemCount": sum(entry["itemCount"] for entry in entries),
        "outputFormat": "DYNAMODB_JSON",
        **summary,
    }
    lines = b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)
    for name, body in (("manifest-files", lines), ("manifest-summary", json.dumps(document).encode() + b"\n")):
        client.put_object(Bucket=bucket, Key=f"{folder}/{name}.json", Body=body)
        client.put_object(Bucket=bucket, Key=f"{folder}/{name}.md5", Body=md5(body).encode())
    return f"s3://{bucket}/{folder}/manifest-summary.json"


def packed(*lines):
    return gzip.compress(b"".join(line + b"\n" for line in lines), mtime=0)


def ion_line(**fields):
    """One line: `Item`, or the `Record` of an incremental export."""
    return b"$ion_1_0 " + ion(fields).encode()


def ion(value):
    """The text of a Python value of sinks.attributes, as the developer guide's table of types has it."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{escaped(value)}"'
        case bytes():
            return "{{" + b64encode(value).decode() + "}}"
        case dict():
            return "{" + ",".join(f"{symbol(name)}:{ion(member)}" for name, member in value.items()) + "}"
        case list():
            return "[" + ",".join(map(ion, value)) + "]"
        case frozenset():
            kind = {str: "SS", bytes: "BS"}.get(type(next(iter(value))), "NS")
            return f"$dynamodb_{kind}::[{','.join(map(ion, value))}]"
    return number(value)


def number(value):
    """As the guide's examples: 103 is `103.`, 600 is `6d2`, and a small fraction is short too."""
    sign, digits, exponent = value.as_tuple()
    text = "".join(map(str, digits))
    kept = text.rstrip("0") or "0"
    exponent = exponent + len(text) - len(kept) if value else 0
    minus = "-" if sign else ""
    if exponent == 0:
        return f"{minus}{kept}."
    if -6 < exponent < 0:
        kept = kept.rjust(1 - exponent, "0")
        return f"{minus}{kept[:exponent]}.{kept[exponent:]}"
    return f"{minus}{kept}d{exponent}"


def symbol(name):
    """Bare where that is allowed."""
    return name if BARE.fullmatch(name) and name not in KEYWORDS else f"'{escaped(name)}'"


def escaped(text):
    return text.translate({**CONTROLS, **ESCAPES})
