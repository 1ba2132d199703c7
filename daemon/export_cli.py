"""`moveout export`: where the export stands that the move waits for, and another attempt."""

from typing import TYPE_CHECKING, Annotated

import typer

from daemon.terminal import DEFAULT_CONFIG, ConfigOption, TableOption, configured, guarded, out

if TYPE_CHECKING:  # the command line is up before the clients of AWS are
    from daemon.app import Parts


def export(
    config: ConfigOption = DEFAULT_CONFIG,
    table: TableOption = None,
    again: Annotated[
        bool, typer.Option("--again", help="Make another attempt, once what stood in its way was put right.")
    ] = False,
) -> None:
    """Say where the export stands that moveout asked for. With --again: ask for another one.

    The service does the asking: it must run. Every attempt that AWS completes costs as much as the first.
    """
    settings = configured(config, table)

    def act() -> None:
        from daemon.app import parts

        out.print(answer(parts(settings), again=again), markup=False, highlight=False, soft_wrap=True)

    guarded(act)


def answer(known: "Parts", *, again: bool) -> str:
    """What the command says. Raises CheckFailed when no other attempt is needed, Conflict, and what AWS does."""
    from daemon import exporting
    from daemon.control import Migration
    from daemon.phase import Phase

    if again:
        return f"attempt {exporting.again(known.control).attempt} will be asked for by the service"
    found = known.control.get("migration", Migration)
    migration = found[0] if found else Migration()
    if migration.phase is Phase.CREATED:
        return "the migration has not begun: `moveout run` begins it"
    if not exporting.pending(migration):
        return f"no export is waited for: the migration is in phase {migration.phase.value}, see `moveout status`"
    job = known.control.get(exporting.RECORD, exporting.Job)
    current = job[0] if job and job[0].generation == migration.generation else None
    return exporting.told(current, known.clock.time())
