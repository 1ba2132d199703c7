"""`moveout export`: where the export stands that the move waits for, and another attempt."""

from typing import Annotated

import typer

from daemon.terminal import DEFAULT_CONFIG, ConfigOption, configured, guarded, out


def export(
    config: ConfigOption = DEFAULT_CONFIG,
    again: Annotated[
        bool, typer.Option("--again", help="Make another attempt, once what stood in its way was put right.")
    ] = False,
) -> None:
    """Say where the export stands that moveout asked for. With --again: ask for another one.

    The service does the asking: it must run. Every attempt that AWS completes costs as much as the first.
    """
    settings = configured(config)

    def act() -> None:
        from daemon import exporting
        from daemon.app import parts

        known = parts(settings)
        if again:
            told = f"attempt {exporting.again(known.control).attempt} will be asked for by the service"
        else:
            found = known.control.get(exporting.RECORD, exporting.Job)
            told = exporting.told(found[0] if found else None, known.clock.time())
        out.print(told, markup=False, highlight=False, soft_wrap=True)

    guarded(act)
