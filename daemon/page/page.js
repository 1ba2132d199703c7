// Asks, shows, and says when there is no answer. What is shown as holding now was told by the service seconds ago;
// all else is greyed and said to be from then (fail static).
import { cards, stepList, switchCard } from "./cards.js";
import { chart, SPAN_SECONDS } from "./chart.js";
import { byId, each, made, prose, text } from "./dom.js";
import * as words from "./words.js";

const POLL_MS = 1500;
const HIDDEN_POLL_MS = 5000; // the title is still read in its tab
const BACKOFF_MS = [1000, 2000, 3000, 5000, 8000];
const ANSWER_MS = 4000;
const HISTORY_EVERY = 20; // polls
const READY_EVERY = 4;
const TAGGED_SECONDS = 5; // an older document is asked for again in full, whatever its tag means

const known = {
  document: null,
  tag: null,
  answered: null, // {server: epoch seconds by the service's clock, steady, wall: our two clocks in ms}
  trouble: { since: null, why: "This page asks the service what it does." }, // null while it answers
  unreadable: null, // why the document cannot be shown
  carries: null, // what /readyz says when it is not well
  samples: [],
  polls: 0,
  failures: 0,
};

const drawChart = chart(byId("chart"), byId("chart-text"));

async function ask(path, headers = {}) {
  const control = new AbortController();
  const timer = setTimeout(() => control.abort(), ANSWER_MS);
  try {
    const answer = await fetch(path, { headers, cache: "no-store", signal: control.signal });
    return { status: answer.status, headers: answer.headers, body: await answer.text() };
  } catch (error) {
    throw new Error(control.signal.aborted ? `no answer within ${ANSWER_MS / 1000} s` : "the connection fails");
  } finally {
    clearTimeout(timer);
  }
}

// By the service's clock: a browser's may be minutes off. Of our own two clocks one stops while a machine sleeps and one
// may be set; the one that says it was longer counts.
function serverNow() {
  if (!known.answered) return Date.now() / 1000;
  const { server, steady, wall } = known.answered;
  return server + Math.max(performance.now() - steady, Date.now() - wall, 0) / 1000;
}

function noteAnswer(headers) {
  const told = Date.parse(headers.get("date") ?? "");
  // Whole seconds, rounded down: the later end counts, so that nothing is held valid for longer than it is.
  const server = Number.isNaN(told) ? Date.now() / 1000 : told / 1000 + 1;
  known.answered = { server, steady: performance.now(), wall: Date.now() };
}

const ageSeconds = () => Math.max(serverNow() - words.epochOf(known.document.published_at), 0);

async function poll() {
  const tagged = known.tag && known.document && ageSeconds() < TAGGED_SECONDS;
  try {
    const answer = await ask("v1/migration", tagged ? { "If-None-Match": known.tag } : {});
    if (answer.status === 200) took(answer);
    else if (answer.status === 304) noteAnswer(answer.headers);
    else if (answer.status === 503) throw new Error(`it answers: ${answer.body.trim().slice(0, 200)}`);
    else throw new Error(`it answers with HTTP status ${answer.status}`);
    const recovered = known.trouble !== null;
    Object.assign(known, { trouble: null, failures: 0 });
    await more(recovered);
  } catch (error) {
    known.failures += 1;
    known.trouble = { since: known.trouble?.since ?? serverNow(), why: error.message };
  }
  known.polls += 1;
  show();
}

function took(answer) {
  known.document = JSON.parse(answer.body);
  known.tag = answer.headers.get("etag");
  noteAnswer(answer.headers);
  remember([words.epochOf(known.document.published_at), known.document.lag.seconds, known.document.backfill.items_done]);
}

function remember(sample) {
  const last = known.samples.at(-1);
  if (!last || sample[0] > last[0]) known.samples.push(sample);
  known.samples = known.samples.filter(([at]) => at > serverNow() - SPAN_SECONDS);
}

// Beside the document; without them the page still says all that it must.
async function more(recovered) {
  try {
    if (recovered || known.polls % HISTORY_EVERY === 0) await history();
    if (recovered || known.polls % READY_EVERY === 0) {
      const answer = await ask("readyz");
      known.carries = answer.status === 200 ? null : answer.body.trim().slice(0, 400);
    }
  } catch {
    known.carries = null;
  }
}

async function history() {
  const answer = await ask("v1/history");
  if (answer.status !== 200) return;
  const { samples } = JSON.parse(answer.body);
  const last = samples.at(-1)?.[0] ?? 0;
  known.samples = [...samples, ...known.samples.filter(([at]) => at > last)];
}

// Why nothing that is shown holds now; null: it does.
function silence() {
  const { document, trouble, unreadable } = known;
  if (unreadable !== null) return `This page cannot read what the service says: reload it. (${unreadable})`;
  if (trouble !== null) {
    if (document === null) return trouble.since === null ? trouble.why : `No document from the service: ${trouble.why}.`;
    const ends = document.phase === "loaded" ? " A migration that only loads ends by itself when all is loaded." : "";
    return `The service does not answer since ${words.clock(trouble.since)}: ${trouble.why}. What is shown is from before; nothing of it is known to hold now.${ends}`;
  }
  if (document.phase !== "loaded" && words.epochOf(document.ready.valid_until) < serverNow()) {
    return `The service answers, but has published nothing since ${words.clock(words.epochOf(document.published_at))}. What is shown is from then; nothing of it is known to hold now.`;
  }
  return null;
}

function show() {
  known.unreadable = null;
  try {
    const silent = silence();
    showHead(silent);
    if (known.document) cards(known.document, serverNow(), silent === null);
    drawChart(known.samples, serverNow());
  } catch (error) {
    // A document that this page cannot read, of another version perhaps, is no reason to show an old one as today's.
    known.unreadable = error.message;
    showUnreadable(silence());
  }
  document.body.dataset.drawn = String(known.polls); // what is on the screen is of this poll
}

function showUnreadable(said) {
  document.body.dataset.tone = "silent";
  document.body.classList.add("stale");
  document.title = "Not readable · moveout";
  text(byId("mark"), words.MARKS.silent);
  text(byId("phase"), "Not known");
  prose(byId("sentence"), said);
  text(byId("doing"), "–");
  for (const who of ["may-readers", "may-writers"]) may(byId(who), ["silent", "Not known"]);
  say(said);
}

function showHead(silent) {
  const { document: found } = known;
  const tone = silent !== null || !found ? "silent" : words.tone(found);
  const phase = found ? words.phaseTitle(found) : null;
  document.body.dataset.tone = tone;
  document.body.classList.toggle("stale", silent !== null && found !== null);
  text(byId("migration"), found?.migration ?? "");
  text(byId("mark"), words.MARKS[tone]);
  text(byId("phase"), silent === null ? phase : found ? `Not known; last seen: ${phase}` : "Nothing is known yet");
  prose(byId("sentence"), silent ?? found.message);
  text(document.querySelector(".doing .label"), silent === null ? "Being done" : "Last told");
  prose(byId("doing"), found ? (silent === null ? words.doing(found) : found.message) : "–");
  stepList(byId("steps"), found ? words.steps(found) : []);
  may(byId("may-readers"), silent === null ? words.readers(found) : ["silent", "Not known"]);
  may(byId("may-writers"), silent === null ? words.writers(found) : ["silent", "Not known"]);
  showNotices(silent);
  showTitle(silent, tone, phase);
  showAge(silent);
  say(silent === null ? `${phase}. ${found.message}` : silent);
}

function may(node, [tone, said]) {
  node.dataset.tone = tone;
  text(node.querySelector(".glyph"), words.MARKS[tone]);
  text(node.querySelector(".text"), said);
}

// What needs a person, where the headline speaks of something else.
function besideHeadline(found) {
  if (words.tone(found) === "trouble") return [];
  return words.needs(found).map((one) => `${one.type} does not hold: ${one.message}`);
}

function showNotices(silent) {
  const found = silent === null ? known.document : null;
  const told = found ? besideHeadline(found).map((said) => ["trouble", said]) : [];
  if (found && words.pause(found)) told.push(["waiting", words.pause(found)]);
  if (found && known.carries) told.push(["trouble", `This replica does not carry data: ${known.carries}`]);
  const make = () => made("p", { class: "notice" }, made("b", { "aria-hidden": "true" }), " ", made("span"));
  each(byId("notices"), told, (one, index) => index, make, (node, [tone, said]) => {
    node.dataset.tone = tone;
    text(node.firstChild, words.MARKS[tone]);
    prose(node.lastChild, said);
  });
}

function showTitle(silent, tone, phase) {
  const name = known.document?.migration ?? "moveout";
  const shown = silent === null ? phase : known.document ? "No word from it" : "Nothing known";
  const attention = silent === null && (tone === "trouble" || words.needs(known.document).length > 0);
  const title = `${attention ? "! " : ""}${shown} · ${name}`;
  if (document.title !== title) document.title = title;
  const icon = `page/${attention ? "trouble" : tone}.svg`;
  if (byId("icon").getAttribute("href") !== icon) byId("icon").setAttribute("href", icon);
}

function showAge(silent) {
  const { trouble, document: found } = known;
  byId("link").dataset.state = trouble !== null ? "lost" : silent !== null ? "old" : "live";
  const age = found ? words.duration(Math.round(ageSeconds())) : null;
  const old = age === null ? "" : ` · updated ${age} ago`;
  text(byId("link-text"), `${trouble !== null ? "no answer" : silent !== null ? "out of date" : "live"}${old}`);
}

let lastSaid = null;

// Said when the words change, not when a figure in them does.
function say(sentence) {
  const words_ = sentence.replace(/[\d.,]+/g, "#");
  if (words_ === lastSaid) return;
  lastSaid = words_;
  text(byId("said"), sentence);
}

let timer = null;

async function run() {
  clearTimeout(timer);
  await poll();
  clearTimeout(timer);
  const backoff = BACKOFF_MS[Math.min(known.failures, BACKOFF_MS.length) - 1];
  timer = setTimeout(run, known.failures ? backoff : document.hidden ? HIDDEN_POLL_MS : POLL_MS);
}

// Between two answers time goes on: ages, the fence, and what has expired meanwhile.
function tick() {
  if (!known.document || known.unreadable !== null) return;
  const silent = silence();
  showHead(silent);
  switchCard(known.document, serverNow(), silent === null);
}

document.addEventListener("visibilitychange", () => document.hidden || run());
window.addEventListener("online", run);
setInterval(tick, 1000);
run();
