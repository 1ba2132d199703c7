"""The configuration file: what may be set, and one clear list of everything that is wrong with it."""

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from daemon.sections import Backfill, Control, DeadLetters, Log, Mode, Ready, Server, Signal, Source, Tail, Verify
from sinks.cassandra.naming import table_name
from sinks.cassandra.options import CassandraOptions
from sinks.custom import CustomOptions
from sinks.dynamodb.options import DynamoDbOptions
from sinks.jsonl.options import JsonlOptions

ENV_PREFIX = "MOVEOUT_"
# What an entry of `tables` may hold; the rest is one for all of them.
OWN_SECTIONS = ("source", "backfill", "tail", "target", "dead_letters")


class ConfigurationError(Exception):
    """The configuration cannot be used. The message lists every fault; exit code 2."""


def _by_its_sink(target: Any) -> Any:
    """`sink: package.module:factory` says that it is one of somebody else's."""
    named = isinstance(target, dict) and "sink" in target
    return {"kind": "custom", **target} if named else target


TargetOptions = CassandraOptions | DynamoDbOptions | JsonlOptions | CustomOptions
Target = Annotated[Annotated[TargetOptions, Field(discriminator="kind")], BeforeValidator(_by_its_sink)]


class Config(BaseSettings):
    """The move of one table. Any value can be overridden by MOVEOUT_SECTION__NAME in the environment.

    A migration of several tables is one of these for each (`load_all`): all but source, target, backfill, tail and
    dead letters is the same in them.
    """

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix=ENV_PREFIX, env_nested_delimiter="__", populate_by_name=False
    )

    migration: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", description="Its name: never change it midway.")
    mode: Mode = Field(default="backfill-and-tail", description="backfill, tail, or both: backfill-and-tail.")
    source: Source
    backfill: Backfill = Backfill()
    tail: Tail = Tail()
    target: Target
    control: Control = Control()
    dead_letters: DeadLetters = DeadLetters()
    verify: Verify = Verify()
    server: Server = Server()
    ready: Ready = Ready()
    signal: Signal = Signal()
    log: Log = Log()
    one_of: int = Field(default=1, exclude=True, repr=False)  # tables of the migration; set by load_all

    @property
    def name(self) -> str:
        """Of this table's move in the control table: the migration's, and the table's where there are several."""
        return self.migration if self.one_of == 1 else f"{self.migration}.{self.source.table}"

    @property
    def loads(self) -> bool:
        """True when there is a backfill."""
        return self.mode != "tail"

    @property
    def tails(self) -> bool:
        """True when the stream is followed."""
        return self.mode != "backfill"

    @property
    def interleave(self) -> int:
        """Parts that one worker reads side by side: one file's items would all go to one partition of DynamoDB."""
        return self.backfill.interleave or (4 if self.target.kind == "dynamodb" else 1)

    @property
    def bucket(self) -> str | None:
        """The bucket of the backfill, where it has one."""
        backfill = self.backfill
        if backfill.export is not None:
            return backfill.export.bucket
        url = backfill.manifest or (backfill.files.location if backfill.files else "")
        return url.split("/")[2] if url.startswith("s3://") else None

    @property
    def dead_letters_to(self) -> str:
        """Where dead letters are written: as configured, or beside the export; of several tables each apart.

        Letters are named by key and version: equal ones of two tables would be one file.
        """
        to = self.dead_letters.to
        if to is None:
            return f"s3://{self.bucket}/moveout/{self.name.replace('.', '/')}/dead-letters"
        return to if self.one_of == 1 else f"{to.rstrip('/')}/{self.source.table}"

    @model_validator(mode="before")
    @classmethod
    def _table_named_as_its_source(cls, values: Any) -> Any:
        """A CQL table that is not named gets the source's name, as far as CQL allows it."""
        match values:
            case {"target": {"kind": "cassandra", **target}, "source": {"table": str(source)}} if "table" not in target:
                named = {"kind": "cassandra", **target, "table": table_name(source)}
                return {**values, "target": named}
        return values

    @model_validator(mode="after")
    def _backfill_has_a_source(self) -> "Config":
        """Checked here, for a mode without backfill needs none."""
        backfill = self.backfill
        named = any((backfill.manifest, backfill.export_arn, backfill.export))
        if self.loads and backfill.from_ == "s3-export" and not named:
            raise ValueError(
                "backfill.manifest is missing: give the manifest-summary.json of an export, or its export_arn, or "
                "export.bucket to let moveout ask for one, or `from: scan`, or `from: files`"
            )
        if self.loads and self.tails and backfill.files is not None and backfill.files.as_of is None:
            raise ValueError("backfill.files.as_of is missing: the tail must begin before the files were taken")
        if self.dead_letters.to is None and self.bucket is None:
            raise ValueError("dead_letters.to is missing: without a bucket of the backfill it has no default")
        return self

    @model_validator(mode="after")
    def _order_is_kept(self) -> "Config":
        """Windows are loaded beside each other and over each other: only versions tell which row is newer."""
        if isinstance(self.target, DynamoDbOptions) and self.target.mode == "ordered" and self.backfill.windows:
            raise ValueError("backfill.windows need versions, and target.mode is ordered: set target.mode: exact")
        return self

    @model_validator(mode="after")
    def _lag_can_be_proven(self) -> "Config":
        """Lag is proven once per heartbeat: a limit below two of them would never hold."""
        if self.ready.max_lag_seconds < 2 * self.tail.heartbeat_seconds:
            raise ValueError(
                f"ready.max_lag_seconds is {self.ready.max_lag_seconds:g}, but lag is proven only every "
                f"tail.heartbeat_seconds = {self.tail.heartbeat_seconds:g}: it must be at least twice that"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file: the same file serves every replica."""
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings


def load(path: Path, table: str | None = None) -> Config:
    """The move of one table: of the only one, or of the one named. Raises ConfigurationError with every fault."""
    tables = load_all(path)
    chosen = [config for config in tables if table in (None, config.source.table)]
    if len(chosen) == 1:
        return chosen[0]
    known = ", ".join(config.source.table for config in tables)
    raise ConfigurationError(
        f"{path} moves several tables, choose one with --table: {known}"
        if table is None
        else f"{path} moves no table {table!r}; it moves {known}"
    )


def load_all(path: Path) -> list[Config]:
    """Read and check a configuration file: a Config for each table. Raises ConfigurationError with every fault."""
    shared = _parsed(path)
    if "one_of" in shared:
        raise ConfigurationError(f"{path} has 1 fault(s):\n  one_of: is not a known option")
    entries = shared.pop("tables", None)
    if entries is None:
        entries = [{}]
    elif not (isinstance(entries, list) and entries and all(isinstance(entry, dict) for entry in entries)):
        raise ConfigurationError(f"{path}: tables must be a list of mappings, each with a source and a target")
    tables: list[Config] = []
    faults: dict[str, None] = {}
    for number, entry in enumerate(entries):
        place = f"tables.{number}." if len(entries) > 1 else ""
        faults.update(dict.fromkeys(_of_all(entry, number)))
        own = {name: value for name, value in entry.items() if name not in _shared()}
        try:
            tables.append(Config(**_merged({**shared, "one_of": len(entries)}, own)))
        except ValidationError as error:
            faults.update(dict.fromkeys(_told(fault, entry, place) for fault in error.errors()))
    faults.update(dict.fromkeys(_twice(tables)))
    if faults:
        raise ConfigurationError(f"{path} has {len(faults)} fault(s):\n" + "\n".join(faults))
    return tables


def _shared() -> set[str]:
    return Config.model_fields.keys() - set(OWN_SECTIONS)


def _of_all(entry: Mapping[str, Any], number: int) -> list[str]:
    """An entry that says what must be the same for all tables."""
    shared = _shared()
    told = f"is one for all tables: it stands beside `tables`; an entry has {', '.join(OWN_SECTIONS)}"
    return [f"  tables.{number}.{name}: {told}" for name in entry if name in shared]


def _merged(shared: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    """A table's own values over those of all."""
    merged = dict(shared)
    for name, value in entry.items():
        below = shared.get(name)
        merged[name] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _twice(tables: list[Config]) -> list[str]:
    """Two moves from one table, or into one."""
    sources = [config.source.table for config in tables]
    targets = [_target_of(config.target) for config in tables]
    return [
        f"  tables: {name!r} is the {role} of two of them"
        for role, names in (("source", sources), ("target", targets))
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]


def _target_of(target: TargetOptions) -> str:
    if isinstance(target, CustomOptions):
        # Told apart by its options, which are not to be shown.
        return f"{target.sink} with options {zlib.crc32(repr(sorted(target.options.items())).encode()):08x}"
    if isinstance(target, JsonlOptions):
        return target.to
    return f"{target.keyspace}.{target.table}" if isinstance(target, CassandraOptions) else target.table


def _told(fault: Any, entry: Mapping[str, Any], place: str) -> str:
    """A fault in what all tables share is told once."""
    own = not fault["loc"] or fault["loc"][0] in entry or fault["type"] == "missing"
    return f"  {place if own else ''}{_where(fault)}: {_what(fault)}"


def _parsed(path: Path) -> dict[str, Any]:
    import yaml  # no part of a process that is handed its configuration

    try:
        values = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigurationError(
            f"cannot read {path}: {error.strerror}. An example: deploy/moveout.example.yaml"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path} must hold a mapping with `migration`, `source`, `backfill`, `target`")
    return values


def _where(fault: Any) -> str:
    # The tag of the union ("cassandra") is pydantic's, not the file's.
    parts = [str(part) for part in fault["loc"] if part not in ("cassandra", "dynamodb", "jsonl", "custom")]
    return ".".join(parts) or "file"


def _what(fault: Any) -> str:
    match fault["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return "is not a known option (see `moveout check --help`)"
        case "union_tag_invalid" | "union_tag_not_found":
            return "kind must be 'cassandra', 'dynamodb' or 'jsonl'; or give `sink: package.module:factory`"
    if fault["type"] == "value_error":
        return str(fault["ctx"]["error"])
    return f"{fault['msg']} (found {fault['input']!r:.80})"
