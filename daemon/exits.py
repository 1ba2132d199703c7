"""What an error that was raised on purpose becomes: an exit code and one line. For every command and every process."""

# 0 done, 1 failed, 2 configuration or usage, 3 a check refused; `wait` has more.
EXIT_FAILED, EXIT_USAGE, EXIT_REFUSED = 1, 2, 3


def told(error: Exception) -> tuple[int, str] | None:
    """Exit code and message; None for an error that nobody raised on purpose."""
    # Imported when something is to be told: most of them are no part of the process that asks.
    from botocore.exceptions import BotoCoreError, ClientError

    from daemon.backfill import BackfillIncomplete
    from daemon.config import ConfigurationError
    from daemon.control import Conflict
    from daemon.dead_letter import NoSuchLetter, TooManyDeadLetters
    from daemon.fence import FenceFailed
    from daemon.java.compile import NotCompiled
    from daemon.java.jars import JarsUnavailable
    from daemon.java.jre import JavaMissing
    from daemon.kcl.properties import UnusableSetting
    from daemon.letter_box import BoxUnavailable
    from daemon.preflight import CheckFailed
    from daemon.resync import NotHealed
    from daemon.retry import Abandoned
    from daemon.server import ListenFailed
    from daemon.verify.runs import NotComparable
    from sinks.sink import SinkError

    if isinstance(error, CheckFailed | JavaMissing | JarsUnavailable | NotCompiled):
        return EXIT_REFUSED, str(error)
    if isinstance(error, BackfillIncomplete | SinkError | BoxUnavailable | TooManyDeadLetters):
        return EXIT_REFUSED, str(error)
    if isinstance(error, NoSuchLetter | NotHealed | FenceFailed | NotComparable):
        return EXIT_REFUSED, str(error)
    if isinstance(error, ConfigurationError | ListenFailed | UnusableSetting):
        return EXIT_USAGE, str(error)
    if isinstance(error, Abandoned):
        return EXIT_FAILED, str(error)
    if isinstance(error, Conflict):
        return EXIT_FAILED, f"somebody else changed the migration at the same time: {error}. Run it again"
    if isinstance(error, ClientError | BotoCoreError):
        return EXIT_FAILED, of_aws(error)
    return None


def of_aws(error: Exception) -> str:
    """What AWS refused, or why it did not answer. Raises nothing."""
    answer = getattr(error, "response", {}).get("Error", {})
    # The source table is told of by the checks. What is described may be a stream, or an export.
    described = getattr(error, "operation_name", "").startswith("Describe")
    if answer.get("Code") == "ResourceNotFoundException" and not described:
        return (
            "the control table does not exist: `moveout run` makes it when the move begins; if it runs already, look "
            "at control.table, control.region and control.role_arn"
        )
    return f"AWS cannot be reached or refuses: {error}"
