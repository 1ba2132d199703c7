// Lag over the last quarter of an hour, from samples [epoch seconds, lag | null, items]. Where nothing was seen there is
// no line, and where lag had no bound there is a hatched band: neither is drawn as if it were a figure.
import { drawn, text } from "./dom.js";
import { clock, lagText } from "./words.js";

export const SPAN_SECONDS = 15 * 60;
const GAP_SECONDS = 15; // a replica that does not lead sees the document every 5 s
const HEIGHT = 150;
const EDGE = { left: 44, right: 10, top: 10, bottom: 22 };
const STEPS = [0.5, 1, 2, 5, 10, 20, 60, 120, 300, 900, 3600, 4 * 3600, 24 * 3600];

export function chart(place, readout) {
  const cursor = { index: null };
  const shown = { samples: [], now: 0 };
  const svg = drawn("svg", { role: "slider", tabindex: "0", "aria-label": "Proven lag over the last 15 minutes" });
  place.append(svg);

  const redraw = () => {
    const width = Math.max(place.clientWidth, 200);
    const scale = scaled(shown.samples, shown.now, width);
    svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    svg.replaceChildren(...axes(scale), ...bands(shown.samples, scale), ...lines(shown.samples, scale));
    if (cursor.index !== null && shown.samples[cursor.index]) svg.append(...pointer(shown.samples[cursor.index], scale));
    tell();
  };
  const tell = () => {
    const last = shown.samples.length - 1;
    const at = shown.samples[cursor.index ?? last];
    const said = at ? `${lagText(at[1])} at ${clock(at[0])}` : "nothing seen yet";
    svg.setAttribute("aria-valuemin", "0");
    svg.setAttribute("aria-valuemax", String(Math.max(last, 0)));
    svg.setAttribute("aria-valuenow", String(Math.max(cursor.index ?? last, 0)));
    svg.setAttribute("aria-valuetext", said);
    text(readout, cursor.index === null ? summary(shown.samples) : said);
  };
  const move = (index) => {
    const last = shown.samples.length - 1;
    cursor.index = last < 0 ? null : Math.min(Math.max(index, 0), last);
    redraw();
  };
  const leave = () => {
    cursor.index = null;
    redraw();
  };
  svg.addEventListener("keydown", (event) => {
    const last = shown.samples.length - 1;
    const at = cursor.index ?? last;
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, PageUp: at + 20, PageDown: at - 20, Home: 0, End: last };
    if (event.key === "Escape") leave();
    else if (event.key in to) move(to[event.key]);
    else return;
    event.preventDefault();
  });
  svg.addEventListener("blur", leave);
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const scale = scaled(shown.samples, shown.now, box.width);
    move(nearest(shown.samples, scale.time(event.clientX - box.left)));
  });
  svg.addEventListener("pointerleave", leave);
  new ResizeObserver(redraw).observe(place);

  return (samples, now) => {
    const at = cursor.index === null ? null : shown.samples[cursor.index]?.[0];
    Object.assign(shown, { samples, now });
    // The cursor stays at its time while the samples move on.
    if (at !== null && at !== undefined) cursor.index = nearest(samples, at);
    redraw();
  };
}

function nearest(samples, time) {
  let best = null;
  samples.forEach(([at], index) => {
    if (best === null || Math.abs(at - time) < Math.abs(samples[best][0] - time)) best = index;
  });
  return best;
}

function summary(samples) {
  if (!samples.length) return "nothing seen yet";
  const bounded = samples.filter(([, lag]) => lag !== null).map(([, lag]) => lag);
  if (!bounded.length) return "no bound in the last 15 minutes";
  const without = bounded.length < samples.length ? "; at times without a bound" : "";
  return `at most ${lagText(Math.max(...bounded))} in what is drawn${without}`;
}

function scaled(samples, now, width) {
  const highest = Math.max(0.4, ...samples.map(([, lag]) => lag ?? 0));
  const top = STEPS.find((step) => step >= highest) ?? highest;
  const inner = { width: width - EDGE.left - EDGE.right, height: HEIGHT - EDGE.top - EDGE.bottom };
  return {
    top,
    now,
    width,
    x: (time) => EDGE.left + inner.width * (1 - Math.min(Math.max(now - time, 0), SPAN_SECONDS) / SPAN_SECONDS),
    y: (lag) => EDGE.top + inner.height * (1 - Math.min(lag / top, 1)),
    time: (x) => now - SPAN_SECONDS * (1 - (x - EDGE.left) / inner.width),
  };
}

function axes(scale) {
  const parts = [];
  const label = (x, y, said, anchor) => {
    const node = drawn("text", { x, y, "text-anchor": anchor, class: "label" });
    node.textContent = said;
    return node;
  };
  for (const lag of [0, scale.top / 2, scale.top]) {
    const y = scale.y(lag);
    parts.push(drawn("line", { x1: EDGE.left, x2: scale.width - EDGE.right, y1: y, y2: y, class: lag ? "grid" : "axis" }));
    const said = scale.top < 90 ? `${lag.toLocaleString("en-US")} s` : lagText(lag);
    parts.push(label(EDGE.left - 6, y + 4, lag ? said : "0", "end"));
  }
  const between = scale.width < 330 ? [] : [[10, "middle"], [5, "middle"]];
  for (const [minutes, anchor] of [[15, "start"], ...between, [0, "end"]]) {
    const said = minutes ? `−${minutes} min` : "now";
    parts.push(label(scale.x(scale.now - minutes * 60), HEIGHT - 5, said, anchor));
  }
  return parts;
}

// Runs of neighbours that are alike, as lists of samples.
function runs(samples, alike) {
  const found = [];
  samples.forEach((sample, index) => {
    const before = samples[index - 1];
    const joined = before && sample[0] - before[0] <= GAP_SECONDS && alike(before) && alike(sample);
    if (joined) found.at(-1).push(sample);
    else if (alike(sample)) found.push([sample]);
  });
  return found;
}

function bands(samples, scale) {
  const all = runs(samples, ([, lag]) => lag === null);
  const pattern = drawn(
    "pattern",
    { id: "hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    drawn("line", { x1: 0, x2: 0, y1: 0, y2: 6, class: "hatch" }),
  );
  const parts = [drawn("defs", {}, pattern)];
  for (const run of all) {
    const [left, right] = [scale.x(run[0][0]), scale.x(run.at(-1)[0])];
    const width = Math.max(right - left, 2);
    const box = { x: left, y: EDGE.top, width, height: scale.y(0) - EDGE.top, fill: "url(#hatch)" };
    parts.push(drawn("rect", { ...box, class: "unbounded" }));
    if (width > 90) {
      const said = drawn("text", { x: left + width / 2, y: HEIGHT / 2, "text-anchor": "middle", class: "label on-band" });
      said.textContent = "no bound";
      parts.push(said);
    }
  }
  return parts;
}

function lines(samples, scale) {
  const parts = [];
  for (const run of runs(samples, ([, lag]) => lag !== null)) {
    const points = run.map(([at, lag]) => `${scale.x(at).toFixed(1)},${scale.y(lag).toFixed(1)}`);
    const [from, to] = [scale.x(run[0][0]), scale.x(run.at(-1)[0])];
    const floor = scale.y(0);
    parts.push(drawn("polygon", { points: `${from},${floor} ${points.join(" ")} ${to},${floor}`, class: "area" }));
    parts.push(drawn("polyline", { points: points.join(" "), class: "line" }));
  }
  const last = samples.at(-1);
  if (last && last[1] !== null) parts.push(drawn("circle", { cx: scale.x(last[0]), cy: scale.y(last[1]), r: 3.5, class: "end" }));
  return parts;
}

function pointer([at, lag], scale) {
  const x = scale.x(at);
  const line = drawn("line", { x1: x, x2: x, y1: EDGE.top, y2: scale.y(0), class: "pointer" });
  return lag === null ? [line] : [line, drawn("circle", { cx: x, cy: scale.y(lag), r: 4.5, class: "pointer" })];
}
