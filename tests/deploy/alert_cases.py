"""Of each alert: histories in which it must fire, with what it then says, and histories in which it must not.

A history is series by their PromQL name with values in promtool's notation, a sample a minute ('1x20': 1, and 20 times
more); `at` is the minute that is looked at. Labels that stand for all series of a migration are added by `series`.
"""

from typing import NamedTuple

TABLE = {"migration": "shop", "table": "orders"}
WHO = "shop, orders: "
EVER = "x120"


class Case(NamedTuple):
    """`told` is the summary; None where it must be silent."""

    alert: str
    at: int
    series: dict
    told: str | None = None
    labels: dict = TABLE


def phase(name, values="1" + EVER):
    return {f'moveout_phase{{phase="{name}"}}': values}


def condition(name, values):
    return {f'moveout_condition{{condition="{name}"}}': values}


def of(condition):
    return {**TABLE, "condition": condition}


def paused(part):
    return {f'moveout_paused{{part="{part}"}}': "1" + EVER}


REPLICATING, BACKFILLING = phase("replicating"), phase("backfilling")
BEHIND = {"moveout_lag_seconds": "90" + EVER, **condition("CaughtUp", "0" + EVER)}
UNBOUNDED = {"moveout_lag_seconds": "Inf+0" + EVER, **condition("CaughtUp", "0" + EVER)}
PROVEN_AT_10 = {"moveout_applied_through_timestamp_seconds": "0+60x10 600" + EVER}
READERS = {"moveout_reads_target_percent": "40" + EVER, 'moveout_ready{kind="readers"}': "1x10 0" + EVER}
STILL = {
    "moveout_stream_records_total": "0+5x10 50" + EVER,
    "moveout_applied_through_timestamp_seconds": "0+60x10 600" + EVER,
    **condition("LagProven", "0" + EVER),
}
LOADING = {
    "moveout_backfill_parts": "7" + EVER,
    "moveout_backfill_parts_done": "5" + EVER,
    "moveout_backfill_items_done": "0+100x10 1000" + EVER,
}
HALTED, DRAINING = {**BACKFILLING, **LOADING}, {**REPLICATING, **STILL}
LATE = '{migration="shop",table="orders",pod="b"}'


def _lag():
    told = WHO + "the target is 1m 30s behind the source"
    yield Case("MoveoutLagHigh", 5, {**BEHIND, **REPLICATING}, told)
    yield Case("MoveoutLagHigh", 5, {**BEHIND, **phase("switching-writers")}, told)
    yield Case("MoveoutLagHigh", 4, {**BEHIND, **REPLICATING})
    yield Case("MoveoutLagHigh", 40, {**BEHIND, **BACKFILLING})
    yield Case("MoveoutLagHigh", 40, {**BEHIND, **REPLICATING, **condition("CaughtUp", "1" + EVER)})
    yield Case("MoveoutLagHigh", 40, {**BEHIND, **REPLICATING, **paused("tail")})
    yield Case("MoveoutLagHigh", 40, {**UNBOUNDED, **REPLICATING})
    # A replica that has fallen silent does not hide what another one sees.
    yield Case("MoveoutLagHigh", 5, {**BEHIND, **REPLICATING, "moveout_lag_seconds" + LATE: "1" + EVER}, told)
    yield Case("MoveoutLagUnbounded", 5, {**UNBOUNDED, **REPLICATING}, WHO + "nothing is proven about lag")
    yield Case("MoveoutLagUnbounded", 4, {**UNBOUNDED, **REPLICATING})
    yield Case("MoveoutLagUnbounded", 40, {**UNBOUNDED, **BACKFILLING})
    yield Case("MoveoutLagUnbounded", 40, {**BEHIND, **REPLICATING})
    stale = WHO + "nothing newer was proven for 3m 0s"
    yield Case("MoveoutLagProofStale", 13, {**PROVEN_AT_10, **REPLICATING}, stale)
    yield Case("MoveoutLagProofStale", 12, {**PROVEN_AT_10, **REPLICATING})
    yield Case("MoveoutLagProofStale", 40, {"moveout_applied_through_timestamp_seconds": "0+60" + EVER, **REPLICATING})
    yield Case("MoveoutLagProofStale", 40, {"moveout_applied_through_timestamp_seconds": "0" + EVER, **REPLICATING})
    yield Case("MoveoutLagProofStale", 40, {**PROVEN_AT_10, **REPLICATING, **paused("tail")})
    yield Case("MoveoutLagProofStale", 40, {**PROVEN_AT_10, **phase("writers-switched")})
    behind = WHO + "40 % of the readers read the target, which is not ready"
    yield Case("MoveoutReadersBehind", 13, {**READERS, **REPLICATING}, behind)
    yield Case("MoveoutReadersBehind", 12, {**READERS, **REPLICATING})
    yield Case("MoveoutReadersBehind", 40, {**READERS, **REPLICATING, 'moveout_ready{kind="readers"}': "1" + EVER})
    yield Case("MoveoutReadersBehind", 40, {**READERS, **REPLICATING, "moveout_reads_target_percent": "0" + EVER})


def _stream():
    half = WHO + "11h 59m 59s until the stream forgets what is not applied"
    most = WHO + "5h 59m 59s until the stream forgets what is not applied"
    seconds = "moveout_stream_trims_in_seconds"
    yield Case("MoveoutTwelveHoursToTrim", 1, {seconds: "43199" + EVER}, half)
    yield Case("MoveoutTwelveHoursToTrim", 0, {seconds: "43199" + EVER})
    yield Case("MoveoutTwelveHoursToTrim", 40, {seconds: "43200" + EVER})
    yield Case("MoveoutTwelveHoursToTrim", 40, {seconds: "Inf+0" + EVER})
    yield Case("MoveoutSixHoursToTrim", 0, {seconds: "21599" + EVER}, most)
    yield Case("MoveoutSixHoursToTrim", 40, {seconds: "21600" + EVER})
    yield Case("MoveoutShardUnowned", 5, {"moveout_shards_unowned": "2" + EVER}, WHO + "2 shard(s) are read by nobody")
    yield Case("MoveoutShardUnowned", 4, {"moveout_shards_unowned": "2" + EVER})
    yield Case("MoveoutShardUnowned", 40, {"moveout_shards_unowned": "1x4 0x2 " * 20})
    yield Case("MoveoutShardUnowned", 40, {"moveout_shards_unowned": "0" + EVER})
    still = WHO + "the stream stands still"
    yield Case("MoveoutNoProgress", 26, DRAINING, still)
    yield Case("MoveoutNoProgress", 26, {**BACKFILLING, **STILL}, still)
    yield Case("MoveoutNoProgress", 24, DRAINING)
    yield Case("MoveoutNoProgress", 40, {**DRAINING, "moveout_stream_records_total": "0+1" + EVER})
    yield Case("MoveoutNoProgress", 40, {**DRAINING, "moveout_applied_through_timestamp_seconds": "0+60" + EVER})
    yield Case("MoveoutNoProgress", 40, {**STILL, **phase("anchored")})
    yield Case("MoveoutNoProgress", 40, {**DRAINING, **paused("tail")})
    yield Case("MoveoutNoProgress", 40, {**BACKFILLING, **STILL, **paused("tail-ordered")})
    # A backfill without a tail has no such condition, and reads no stream.
    no_tail = {name: values for name, values in STILL.items() if "condition" not in name}
    yield Case("MoveoutNoProgress", 40, {**BACKFILLING, **no_tail})


def _backfill():
    yield Case("MoveoutBackfillStalled", 26, HALTED, WHO + "the backfill stands still with 2 part(s) left")
    yield Case("MoveoutBackfillStalled", 24, HALTED)
    yield Case("MoveoutBackfillStalled", 40, {**HALTED, "moveout_backfill_items_done": "0+1" + EVER})
    yield Case("MoveoutBackfillStalled", 40, {**HALTED, "moveout_backfill_parts_done": "7" + EVER})
    yield Case("MoveoutBackfillStalled", 40, {**HALTED, **paused("backfill")})
    yield Case("MoveoutBackfillStalled", 40, {**LOADING, **phase("anchored")})
    # A table that waits for its turn, while another one is loaded.
    other = {'moveout_backfill_items_done{migration="shop",table="carts"}': "0+1" + EVER}
    yield Case("MoveoutBackfillStalled", 40, {**HALTED, **other})


def _target():
    away, unsafe = (condition(name, "0" + EVER) for name in ("TargetAvailable", "TargetSafe"))
    well = {**condition("TargetAvailable", "1" + EVER), **condition("TargetSafe", "1" + EVER)}
    yield Case("MoveoutTargetUnavailable", 2, away, WHO + "the target does not confirm writes", of("TargetAvailable"))
    yield Case("MoveoutTargetUnavailable", 1, away)
    yield Case("MoveoutTargetUnavailable", 40, well)
    yield Case("MoveoutTargetUnavailable", 40, {**unsafe, **condition("TargetAvailable", "1" + EVER)})
    altered = WHO + "a setting of the target was altered and could undo the move"
    yield Case("MoveoutTargetUnsafe", 0, unsafe, altered, of("TargetSafe"))
    yield Case("MoveoutTargetUnsafe", 40, well)
    yield Case("MoveoutTargetUnsafe", 40, {**away, **condition("TargetSafe", "1" + EVER)})
    lost = WHO + "the stream has lost changes that were never read"
    yield Case("MoveoutNeedsResync", 0, phase("needs-resync"), lost, {**TABLE, "phase": "needs-resync"})
    yield Case("MoveoutNeedsResync", 40, {**REPLICATING, **phase("needs-resync", "0" + EVER)})


def _rows():
    letters = WHO + "the target refuses 3 change(s), which wait for a decision"
    yield Case("MoveoutDeadLetters", 1, {'moveout_dead_letters{state="open"}': "3" + EVER}, letters)
    yield Case("MoveoutDeadLetters", 0, {'moveout_dead_letters{state="open"}': "3" + EVER})
    settled = {'moveout_dead_letters{state="open"}': "0" + EVER, 'moveout_dead_letters{state="waived"}': "3" + EVER}
    yield Case("MoveoutDeadLetters", 40, settled)
    differ, kind = "moveout_verification_differences", {**TABLE, "kind": "missing"}
    told = WHO + "2 item(s) differ between source and target (missing)"
    yield Case("MoveoutVerificationDifferences", 0, {differ + '{kind="missing"}': "2" + EVER}, told, kind)
    yield Case("MoveoutVerificationDifferences", 40, {differ + '{kind="missing"}': "0" + EVER})
    met = WHO + "a live change met a row of the target that was not what it should have been"
    wrong = "moveout_preimages_differing_total"
    yield Case("MoveoutPreimageDiffers", 30, {wrong: "0x10 1" + EVER}, met)
    yield Case("MoveoutPreimageDiffers", 90, {wrong: "0x10 1" + EVER})
    yield Case("MoveoutPreimageDiffers", 40, {wrong: "4" + EVER})
    strays = WHO + "somebody still writes to the source, although the writers have switched"
    yield Case("MoveoutStrayWrites", 30, {"moveout_stray_writes_total": "0x10 1" + EVER}, strays)
    yield Case("MoveoutStrayWrites", 90, {"moveout_stray_writes_total": "0x10 1" + EVER})
    yield Case("MoveoutStrayWrites", 40, {"moveout_stray_writes_total": "0" + EVER})


def _replicas():
    restarts, kcl = 'moveout_process_restarts_total{process="kcl",pod="a"}', {"process": "kcl", "pod": "a"}
    ends = "the kcl process of moveout keeps ending"
    yield Case("MoveoutRestarts", 15, {restarts: "0+1" + EVER}, ends, kcl)
    yield Case("MoveoutRestarts", 40, {restarts: "0x30 3" + EVER}, None, kcl)
    started, pod = 'moveout_start_timestamp_seconds{pod="a"}', {"pod": "a"}
    again = "a replica of moveout was started 3 times more within half an hour"
    yield Case("MoveoutServiceRestarts", 20, {started: "0x5 300x5 600x5 900" + EVER}, again, pod)
    yield Case("MoveoutServiceRestarts", 20, {started: "0x5 300x5 600" + EVER}, None, pod)
    looked = 'moveout_observed_timestamp_seconds{pod="a"}'
    silent = "a replica of moveout has not looked at its control table for 4m 0s"
    yield Case("MoveoutSilent", 14, {looked: "0+60x10 600" + EVER}, silent, pod)
    yield Case("MoveoutSilent", 13, {looked: "0+60x10 600" + EVER}, None, pod)
    yield Case("MoveoutSilent", 40, {looked: "0+60" + EVER}, None, pod)
    leads = "moveout_published_timestamp_seconds"
    nobody = WHO + "nothing was decided for 4m 0s"
    yield Case("MoveoutNobodyLeads", 14, {leads: "0+60x10 600" + EVER}, nobody)
    yield Case("MoveoutNobodyLeads", 13, {leads: "0+60x10 600" + EVER})
    yield Case("MoveoutNobodyLeads", 40, {leads: "0+60" + EVER})
    yield Case("MoveoutAbsent", 15, {looked: "1x9 stale"}, "no replica of moveout is scraped", {})
    yield Case("MoveoutAbsent", 14, {looked: "1x9 stale"})
    yield Case("MoveoutAbsent", 40, {looked: "1" + EVER})


CASES = (*_lag(), *_stream(), *_backfill(), *_target(), *_rows(), *_replicas())
