"""What botocore knows of AWS's services, read once for a process, and in a third of the memory.

Each session of botocore has a loader of its own, which parses some 2 MB of JSON: a second session cost 10 MiB. And it
makes an OrderedDict of every object: for a first S3 client and a first DynamoDB client 17 MiB, with this one 9
(VmRSS, botocore 1.43).
"""

import gzip
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
from botocore.loaders import JSONFileLoader, Loader, create_loader

# Of the 300 services that endpoints.json tells of: those that we call, and those that give out credentials.
# Others would get their partition's rule, `<service>.<region>.<suffix>`, which is right for most.
SERVICES = ("dynamodb", "oidc", "portal.sso", "s3", "secretsmanager", "signin", "sso", "streams.dynamodb", "sts")
DOCS = "documentation"
_OPENED: Mapping[str, Callable[..., Any]] = {".json": open, ".json.gz": gzip.open}


class _Endpoints(msgspec.Struct):
    partitions: list[dict[str, msgspec.Raw]]
    version: int


@lru_cache(maxsize=4)
def loader(search_path: str | None) -> Loader:
    """The one loader of this process for this `data_path` (AWS_DATA_PATH): what it has read stays read."""
    made = create_loader(search_path)
    made.file_loader = _Files()
    return made


class _Files(JSONFileLoader):  # type: ignore[misc]
    """Plain dicts, whose short keys are one object each; they keep their order as well."""

    def load_file(self, file_path: str) -> Any:
        """The contents of the file, whose name has no suffix yet; None where there is no such file."""
        for suffix, opened in _OPENED.items():
            path = Path(file_path + suffix)
            if path.is_file():
                with opened(path, "rb") as file:
                    read = file.read()
                return _endpoints(read) if path.name == "endpoints.json" else _bare(msgspec.json.decode(read))
        return None


def _bare(known: Any) -> Any:
    """With no words in `documentation`, which botocore asks for: half of a model, 2 MiB of S3 and DynamoDB."""
    if isinstance(known, dict):
        return {name: "" if name == DOCS and isinstance(value, str) else _bare(value) for name, value in known.items()}
    return [_bare(value) for value in known] if isinstance(known, list) else known


def _endpoints(read: bytes) -> dict[str, Any]:
    """endpoints.json with SERVICES only: 4 MiB less."""
    known = msgspec.json.decode(read, type=_Endpoints)
    return {"partitions": [_partition(raw) for raw in known.partitions], "version": known.version}


def _partition(raw: Mapping[str, msgspec.Raw]) -> dict[str, Any]:
    services = msgspec.json.decode(raw["services"], type=dict[str, msgspec.Raw])
    kept = {name: msgspec.json.decode(services[name]) for name in SERVICES if name in services}
    return {name: msgspec.json.decode(value) for name, value in raw.items() if name != "services"} | {"services": kept}
