// A document in words. Pure: no element, no clock, no request.

export const count = (number) => Math.round(number).toLocaleString("en-US");

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "unknown";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

export function lagText(seconds) {
  if (seconds === null) return "no bound yet";
  return seconds < 90 ? `${seconds.toFixed(1)} s` : duration(seconds);
}

export function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) [bytes, unit] = [bytes / 1024, unit + 1];
  return `${bytes.toFixed(!unit || bytes >= 100 ? 0 : bytes >= 10 ? 1 : 2)} ${units[unit]}`;
}

// UTC as in the document and the log, or nobody can lay the two side by side.
export const clock = (epochSeconds) => `${new Date(epochSeconds * 1000).toISOString().slice(11, 19)} UTC`;
export const epochOf = (iso) => Date.parse(iso) / 1000;

export const isReady = (document) => document.ready.readers;
const percentOf = (document) => document.routes?.reads_percent ?? 0;
const failing = (document) => document.conditions.filter((condition) => !condition.status);

const PHASES = {
  created: "Not begun yet",
  anchored: "Anchored",
  backfilling: "Loading",
  replicating: "Replicating",
  "switching-writers": "Switching writers",
  "writers-switched": "Writers switched",
  aborted: "Aborted",
  loaded: "Loaded",
  "needs-resync": "Needs a resync",
};

export function phaseTitle(document) {
  const title = PHASES[document.phase] ?? document.phase;
  if (document.phase !== "replicating") return title;
  const percent = percentOf(document);
  if (percent === 100) return "Readers switched";
  if (percent > 0) return `Readers ${percent} % switched`;
  return isReady(document) ? "Ready for readers" : title;
}

// What only a person can mend; all else is waited for.
const FOR_PEOPLE = ["GapFree", "TargetSafe", "TargetAvailable", "DeadLettersResolved"];
export const isForPeople = (condition) => FOR_PEOPLE.includes(condition.type) || condition.reason.endsWith("Failed");
export const needs = (document) => failing(document).filter(isForPeople);

// Of the headline. What needs a person beside it has a notice of its own.
export function tone(document) {
  if (document.phase === "aborted") return "ended";
  const told = needs(document).some((one) => document.message.includes(one.type) || document.message.includes(one.message));
  if (document.phase === "needs-resync" || told) return "trouble";
  if (document.phase === "writers-switched" || document.phase === "loaded") return "good";
  return document.phase === "replicating" && isReady(document) ? "good" : "waiting";
}

export const MARKS = { good: "✓", waiting: "…", trouble: "!", ended: "■", silent: "?" };

// [name, done | now | ahead | stopped]
export function steps(document) {
  const names = ["Anchor", "Load", "Catch up", "Readers", "Writers"];
  const at = stepOf(document);
  const state = (index) => (index < at ? "done" : index === at ? "now" : "ahead");
  const stopped = document.phase === "needs-resync" || document.phase === "aborted";
  return names.map((name, index) => [name, stopped ? "stopped" : state(index)]);
}

function stepOf(document) {
  const at = { created: 0, anchored: 0, backfilling: 1, loaded: 2, "switching-writers": 4, "writers-switched": 5 };
  if (document.phase in at) return at[document.phase];
  const percent = percentOf(document);
  if (percent === 100) return 4;
  return percent > 0 || isReady(document) ? 3 : 2;
}

export function doing(document) {
  const { phase, backfill, tail, paused, lag } = document;
  const follows = tail.shards_open
    ? `following the stream through ${count(tail.shards_open)} open shard${tail.shards_open === 1 ? "" : "s"}`
    : "waiting for the stream's shards";
  const still = paused?.tail ? "the stream is not applied: paused" : follows;
  if (phase === "created") return "checking both sides, and marking where the stream is followed from";
  if (phase === "anchored") return `${still}; what is to be loaded is not there yet`;
  if (phase === "backfilling") {
    return `${loading(document)}; ${paused?.tail_waits ? "the tail waits for the end of it" : still}`;
  }
  if (phase === "replicating") return `${still}; proving lag by heartbeats (round ${count(lag.round)} is proven)`;
  if (phase === "switching-writers") return "switching the writers, step by step: see below";
  if (phase === "writers-switched") return "nothing is applied any more; writes that stray to the source are kept and told";
  if (phase === "loaded") return "nothing: this migration only loads";
  if (phase === "aborted") return "nothing: source and application are as they were";
  if (phase === "needs-resync") return "nothing is applied until a person gives `moveout resync`";
  return "not known to this page";
}

function loading({ backfill, paused }) {
  if (paused?.backfill) return "loading is paused";
  const percent = share(backfill);
  const done = percent === null ? "" : `, ${percentText(percent)} done`;
  const left = backfill.eta_seconds === null ? "" : `, about ${duration(backfill.eta_seconds)} left`;
  return `loading ${count(backfill.items_per_second)} items a second${done}${left}`;
}

const STAY = { aborted: "Stay at the source, as before", loaded: "Must not switch: later writes are not loaded" };

// [good | waiting | trouble, sentence]
export function readers(document) {
  const percent = percentOf(document);
  const ready = isReady(document);
  if (percent === 100) return ["good", "All readers read the target"];
  if (percent > 0) {
    return ready
      ? ["good", `${percent} % read the target; more may switch`]
      : ["trouble", `${percent} % read the target; no more must switch now`];
  }
  if (document.phase in STAY) return ["waiting", STAY[document.phase]];
  return ready ? ["good", "May switch now"] : ["waiting", "Must not switch yet"];
}

export function writers(document) {
  const routes = document.routes ?? {};
  const meant = document.phase === "switching-writers" ? "waiting" : "trouble";
  if (routes.writes_fenced) return [meant, "Fenced: nobody is to write, on either side"];
  if (routes.writes === "target") return ["good", "Write to the target"];
  if (document.phase in STAY) return ["waiting", STAY[document.phase]];
  return document.ready.writers ? ["good", "May switch now"] : ["waiting", "Must not switch yet"];
}

export function share(backfill) {
  const { items_done: done, items_total: total, items_estimated: estimated } = backfill;
  if (!total) return null;
  if (estimated && done > total) return null; // the estimate was outgrown: nobody knows
  // 99.99 % is not all: rounding must never say so.
  return done >= total ? 100 : Math.min((100 * done) / total, 99.9);
}

export const percentText = (percent) => (percent >= 100 ? "100 %" : `${(Math.floor(percent * 10) / 10).toFixed(1)} %`);

export function items(backfill) {
  const { items_done: done, items_total: total, items_estimated: estimated } = backfill;
  if (estimated && done > total) return `${count(done)} items so far; the estimate was ${count(total)}`;
  return `${count(done)} of ${estimated ? "about " : ""}${count(total)} items`;
}

// The statement of strength: what "no difference" means after so many comparisons.
export function strength(verification) {
  const found = Object.values(verification.differences).reduce((sum, one) => sum + one, 0);
  if (found) return `${count(found)} difference${found === 1 ? "" : "s"} in ${count(verification.compared)} comparisons`;
  if (!verification.compared) return "nothing compared yet";
  const bound = verification.upper_bound;
  const told = `no difference in ${count(verification.compared)} comparisons`;
  return bound === null || bound === undefined ? told : `${told}: at most ${atMost(bound)}, at 95 %`;
}

// A bound is only ever rounded up.
function atMost(fraction) {
  if (fraction >= 0.01) return `${(Math.ceil(fraction * 1000 - 1e-9) / 10).toFixed(1)} % differ`;
  const one = 1 / fraction;
  const digit = 10 ** Math.max(Math.floor(Math.log10(one)) - 1, 0);
  return `1 in ${count(Math.floor(one / digit + 1e-9) * digit)} differs`;
}

export const SWITCH_STEPS = {
  fence: "Fence",
  drain: "Drain",
  verify: "Verify",
  clock: "Clock",
  freeze: "Freeze",
  commit: "Commit",
  open: "Open",
  done: "Done",
};
export const UNFENCE = "unfence";

// Or null where nothing is.
export function pause(document) {
  const { backfill, tail, trims_in_seconds: left, tail_waits: waits } = document.paused ?? {};
  const halted = [backfill && "backfill", tail && "tail"].filter(Boolean).join(" and ");
  const told = halted ? [`Paused by a person: ${halted}. \`moveout resume\` goes on.`] : [];
  if (waits) told.push("The tail waits for the backfill (target.mode: ordered).");
  if (told.length && left !== null && left !== undefined) {
    told.push(`The stream forgets what is not applied in ${duration(Math.max(left, 0))}.`);
  }
  return told.length ? told.join(" ") : null;
}
