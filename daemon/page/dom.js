// How anything gets into the page: as text, or as an element that is made here. Nothing is ever parsed as HTML.

export const byId = (id) => document.getElementById(id);

export function text(node, value) {
  const wanted = String(value);
  if (node.textContent !== wanted) node.textContent = wanted; // unchanged text keeps a reader's selection
}

// The same, with `commands` in a face of their own.
export function prose(node, value) {
  if (node.prose === value) return;
  node.prose = value;
  node.replaceChildren(...value.split("`").map((part, index) => (index % 2 ? made("code", {}, part) : part)));
}

export function made(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children.filter((child) => child !== null));
  return node;
}

const SVG = "http://www.w3.org/2000/svg";

export function drawn(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// One child per item, in the items' order; a child stays the same node as long as its key is there, so that what is
// open stays open and what has the focus keeps it.
export function each(parent, items, keyOf, make, update) {
  const known = parent.kept ?? new Map();
  const kept = new Map();
  items.forEach((item, index) => {
    const key = keyOf(item, index);
    const node = known.get(key) ?? make(item);
    kept.set(key, node);
    update(node, item, index);
    if (parent.children[index] !== node) parent.insertBefore(node, parent.children[index] ?? null);
  });
  for (const [key, node] of known) if (!kept.has(key)) node.remove();
  parent.kept = kept;
}

export function facts(list, pairs) {
  each(
    list,
    pairs.filter(([, value]) => value !== null),
    ([name]) => name,
    () => made("div", {}, made("dt"), made("dd")),
    (node, [name, value]) => {
      text(node.firstChild, name);
      text(node.lastChild, value);
    },
  );
}

export function bar(node, percent, said) {
  const known = percent !== null && Number.isFinite(percent);
  const width = known ? Math.min(Math.max(percent, 0), 100) : 0;
  node.firstElementChild.style.width = `${width}%`;
  node.classList.toggle("unknown", !known);
  if (known) node.setAttribute("aria-valuenow", String(Math.floor(width)));
  else node.removeAttribute("aria-valuenow");
  node.setAttribute("aria-valuetext", said);
}
