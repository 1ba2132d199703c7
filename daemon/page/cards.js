// The cards: what the document says, laid out. `known.at` is the service's clock, in epoch seconds.
import { bar, byId, each, facts, made, prose, text } from "./dom.js";
import * as words from "./words.js";

const { count, clock, duration } = words;

function held(condition) {
  if (condition.status) return ["holds", "✓", "holds"];
  if (words.isForPeople(condition)) return ["trouble", "✗", `does not hold (${condition.reason})`];
  return ["waits", "…", `not yet (${condition.reason})`];
}

function conditions(list, found) {
  each(
    list,
    found,
    (one) => one.type,
    () =>
      made(
        "li",
        {},
        made("span", { class: "glyph", "aria-hidden": "true" }),
        made("div", {}, made("p", { class: "type" }, made("b"), " ", made("span", { class: "holds" })), made("p", { class: "why" })),
      ),
    (node, one) => {
      const [state, glyph, said] = held(one);
      node.dataset.state = state;
      text(node.querySelector(".glyph"), glyph);
      text(node.querySelector("b"), one.type);
      text(node.querySelector(".holds"), said);
      prose(node.querySelector(".why"), one.message);
    },
  );
}

function conditionsCard({ conditions: found }) {
  const holding = found.filter((one) => one.status).length;
  text(byId("conditions-lead"), found.length === holding ? `All ${count(holding)} hold` : `${count(holding)} of ${count(found.length)} hold`);
  conditions(byId("conditions"), found);
}

const OVER = ["writers-switched", "aborted"];

function lagLead({ phase, lag }) {
  if (lag.seconds !== null) return `Every write before ${clock(words.epochOf(lag.applied_through))} is in the target.`;
  if (OVER.includes(phase)) return "The source is not followed any more.";
  if (phase === "loaded") return "Nothing is followed: this migration only loads.";
  if (lag.applied_through === null) return "Nothing is proven yet.";
  return phase === "backfilling" ? "Heartbeats come through; lag has a bound when the backfill is complete." : "Nothing is proven to hold now.";
}

function lagCard(document) {
  const { lag, phase } = document;
  const over = lag.seconds === null && (OVER.includes(phase) || phase === "loaded");
  text(byId("lag"), over ? "not measured" : words.lagText(lag.seconds));
  text(byId("lag-lead"), lagLead(document));
}

function remaining(backfill) {
  if (backfill.parts_total && backfill.parts_done === backfill.parts_total) return "done";
  return backfill.eta_seconds === null ? "time left not known" : `about ${duration(backfill.eta_seconds)} left`;
}

function backfillCard({ backfill, paused }) {
  const percent = words.share(backfill);
  const told = percent === null ? "–" : words.percentText(percent);
  text(byId("share"), told);
  bar(byId("backfill-bar"), percent, percent === null ? "not known" : told);
  const done = backfill.parts_total && backfill.parts_done === backfill.parts_total;
  const rate = done ? "" : paused?.backfill ? ", paused" : `, ${count(backfill.items_per_second)} a second, ${remaining(backfill)}`;
  text(byId("backfill-lead"), backfill.parts_total ? `${words.items(backfill)}${rate}` : "There is nothing to load yet");
  facts(byId("backfill-facts"), [
    ["Parts done", `${count(backfill.parts_done)} of ${count(backfill.parts_total)}`],
    ["Taken by the target", count(backfill.applied)],
    ["Refused by it", count(backfill.rejected)],
    ["Left out", count(backfill.skipped)],
    ["Read", words.size(backfill.bytes_read)],
  ]);
}

function routesCard({ routes, epoch }) {
  const percent = routes?.reads_percent ?? 0;
  text(byId("reads"), percent === 0 ? "All read the source" : percent === 100 ? "All read the target" : `${percent} % read the target`);
  bar(byId("reads-bar"), percent, `${percent} % on the target`);
  text(byId("writes"), routes?.writes_fenced ? "Fenced: nobody is to write" : `All write to the ${routes?.writes ?? "source"}`);
  text(byId("epoch"), `Epoch ${count(epoch)}: it rises with each change of route.`);
}

const KINDS = { missing: "Missing in the target", extra: "Extra in the target", stale: "Stale", changed: "Changed attributes" };

function verificationCard({ verification }) {
  byId("verification-bar").hidden = !verification;
  if (!verification) {
    text(byId("verified"), "Not begun");
    prose(byId("verification-lead"), "`moveout verify start` compares source and target, row by row.");
    facts(byId("verification-facts"), []);
    return;
  }
  const { differences, total, compared, state } = verification;
  text(byId("verified"), `Run ${verification.run}: ${state}`);
  const message = verification.message ? ` ${verification.message}` : "";
  prose(byId("verification-lead"), `${words.strength(verification).replace(/^./, (first) => first.toUpperCase())}.${message}`);
  const percent = total ? Math.min((100 * compared) / total, compared >= total ? 100 : 99.9) : null;
  bar(byId("verification-bar"), percent, percent === null ? "not known" : `${Math.floor(percent)} % compared`);
  const other = Object.entries(differences).filter(([kind]) => !(kind in KINDS));
  facts(byId("verification-facts"), [
    ["Compared", total ? `${count(compared)} of ${count(total)}` : count(compared)],
    ...Object.entries(KINDS).map(([kind, name]) => [name, count(differences[kind] ?? 0)]),
    ...other.map(([kind, number]) => [kind, count(number)]),
    ["Not settled yet", count(verification.open ?? 0)],
  ]);
}

function tailCard({ tail }) {
  const unowned = tail.shards_unowned ? `, ${count(tail.shards_unowned)} without an owner` : "";
  text(byId("shards"), `${count(tail.shards_open)} open${unowned}`);
  facts(byId("tail-facts"), [
    ["Shards read to their end", count(tail.shards_ended)],
    ["Records read", count(tail.records)],
    ["Changes applied", count(tail.applied)],
    ["Deletions by TTL", count(tail.expired)],
    ["Restarts of the reader", count(tail.restarts)],
  ]);
}

function lettersCard({ dead_letters: letters }) {
  text(byId("letters"), letters.open ? `${count(letters.open)} wait for a person` : "None open");
  byId("letters-lead").hidden = !letters.open;
  byId("letters").dataset.tone = letters.open ? "trouble" : "";
  facts(byId("letter-facts"), [
    ["Settled by a later change", count(letters.settled)],
    ["Tried again", count(letters.retried)],
    ["Waived", count(letters.waived)],
  ]);
}

// The route says whether they are fenced; the attempt says since when.
function fenceText(found, routes, at, live) {
  if (found.fenced_at === null || found.fenced_at === undefined) return "The writers are not fenced.";
  if (found.opened_at) return `The writers were fenced for ${Math.max(found.opened_at - found.fenced_at, 0).toFixed(1)} s.`;
  if (!routes?.writes_fenced) return "The fence is lifted.";
  const lasted = Math.max(at - found.fenced_at, 0).toFixed(1);
  return live ? `The writers have been fenced for ${lasted} s.` : `Fenced since ${clock(found.fenced_at)}.`;
}

function switchLead({ switch: found, routes }, at, live) {
  const fence = fenceText(found, routes, at, live);
  if (found.failed) return `Given up: ${found.failed}. ${fence} The source is still what is written to.`;
  if (found.step === "done") return `Done. ${fence}`;
  if (found.step === words.UNFENCE) return `It is being taken back. ${fence}`;
  if (["commit", "open"].includes(found.step)) return `Behind the point of no return: there is only forward. ${fence}`;
  if (!live) return fence;
  const left = found.deadline - at;
  return `${fence} ${left > 0 ? `Given up in ${duration(left)} if it is not through by then.` : "Its time is over: it is being taken back."}`;
}

export function switchCard(document, at, live) {
  const { switch: found } = document;
  byId("switch").hidden = !found;
  if (!found) return;
  prose(byId("switch-lead"), switchLead(document, at, live));
  byId("switch-lead").dataset.tone = found.failed ? "trouble" : "";
  const names = Object.keys(words.SWITCH_STEPS);
  const undone = found.failed || found.step === words.UNFENCE;
  const reached = names.indexOf(found.step);
  const stateOf = (index) => (undone ? "stopped" : index < reached || found.step === "done" ? "done" : index === reached ? "now" : "ahead");
  stepList(byId("switch-steps"), names.map((name, index) => [words.SWITCH_STEPS[name], stateOf(index)]));
  each(
    byId("journal"),
    found.journal ?? [],
    (entry, index) => index,
    () => made("li", {}, made("time"), made("b"), made("span")),
    (node, entry) => {
      text(node.children[0], clock(entry.at));
      text(node.children[1], entry.step);
      prose(node.children[2], entry.message);
    },
  );
}

const STEP_GLYPHS = { done: "✓", now: "●", ahead: "○", stopped: "–" };
const STEP_WORDS = { done: "done", now: "now", ahead: "to come", stopped: "halted" };

export function stepList(list, found) {
  each(
    list,
    found,
    ([name]) => name,
    () => made("li", {}, made("span", { class: "glyph", "aria-hidden": "true" }), made("span"), made("span", { class: "unseen" })),
    (node, [name, state]) => {
      node.dataset.state = state;
      if (state === "now") node.setAttribute("aria-current", "step");
      else node.removeAttribute("aria-current");
      text(node.children[0], STEP_GLYPHS[state]);
      text(node.children[1], name);
      text(node.children[2], ` (${STEP_WORDS[state]})`);
    },
  );
}

function tableCard() {
  const head = made("h3", {}, made("span", { class: "glyph", "aria-hidden": "true" }), made("span", { class: "table" }), made("span", { class: "phase" }));
  const progress = made("div", { class: "progress", role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100" }, made("div"));
  const more = made("details", {}, made("summary"), made("ul", { class: "conditions" }));
  return made("article", { class: "card" }, head, made("p", { class: "lead" }), progress, made("dl", { class: "facts" }), more);
}

function tables({ tables: found }) {
  byId("tables").hidden = !found?.length;
  each(byId("table-cards"), found ?? [], (one) => one.table, tableCard, (node, one) => {
    const [head, lead, progress, list, more] = node.children;
    const tone = words.tone(one);
    const percent = words.share(one.backfill);
    node.dataset.tone = tone;
    text(head.children[0], words.MARKS[tone]);
    text(head.children[1], one.table);
    text(head.children[2], words.phaseTitle(one));
    prose(lead, one.message);
    progress.setAttribute("aria-label", `Backfill of ${one.table}`);
    bar(progress, percent, percent === null ? "not known" : `${Math.floor(percent)} %`);
    facts(list, [
      ["Items", words.items(one.backfill).replace(/ items$/, "")],
      ["Left", remaining(one.backfill)],
      ["Proven lag", words.lagText(one.lag.seconds)],
      ["Dead letters", one.dead_letters.open ? `${count(one.dead_letters.open)} open` : "none open"],
      ["Verification", one.verification ? words.strength(one.verification) : null],
      ["Readers", words.readers(one)[1]],
    ]);
    const holding = one.conditions.filter((condition) => condition.status).length;
    text(more.firstChild, `Conditions: ${count(holding)} of ${count(one.conditions.length)} hold`);
    more.firstChild.setAttribute("aria-label", `Conditions of ${one.table}: ${count(holding)} of ${count(one.conditions.length)} hold`);
    conditions(more.lastChild, one.conditions);
  });
}

export function cards(document, at, live) {
  conditionsCard(document);
  lagCard(document);
  backfillCard(document);
  routesCard(document);
  verificationCard(document);
  tailCard(document);
  lettersCard(document);
  switchCard(document, at, live);
  tables(document);
}
