// Only this file creates elements: values become text nodes and attributes, never markup.

const data = JSON.parse(document.getElementById("data").textContent);

const byId = (id) => document.getElementById(id);

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, text] of Object.entries(value)) element.style.setProperty(key, text);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(2).filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);

const svg = (tag, attributes, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

// A labelled <select>; `options` are [value, text] pairs.
function choice(label, options, value, onchange) {
  const select = el("select", { onchange: () => onchange(select.value) },
    options.map(([key, text]) => el("option", { value: key, selected: String(key) === String(value) }, text)));
  return el("label", { class: "field" }, el("span", {}, label), select);
}

// A row of buttons, one of them pressed.
function segments(label, options, value, onchange) {
  const buttons = options.map(([key, text]) =>
    el("button", { type: "button", "data-value": key, "aria-pressed": String(key === value), onclick: () => {
      for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.value === key));
      onchange(key);
    } }, text));
  return el("div", { class: "field", role: "group", "aria-label": label },
    el("span", {}, label), el("span", { class: "segments" }, buttons));
}

const count = (n, noun, plural = `${noun}s`) => `${n} ${n === 1 ? noun : plural}`;

const colour = (row) => `var(--${row.hue}${row.strong ? "-strong" : ""})`;

// A short sample of the row's line.
const swatch = (row) => svg("svg", { class: "swatch", viewBox: "0 0 26 10", "aria-hidden": "true" },
  svg("line", { x1: 1, x2: 25, y1: 5, y2: 5, stroke: colour(row), "stroke-width": row.strong ? 3 : 2.2, "stroke-dasharray": row.dash || null }));

const rowLabel = (row) => (row.state ? `${row.title} (${row.state})` : row.title);

const rowName = (row) => el("span", { class: "row-name" }, swatch(row),
  el("span", {}, row.title, row.state && el("span", { class: "row-state" }, ` (${row.state})`)));

const runName = (row, run) => el("span", { class: "row-name" }, swatch(row), el("span", { class: "run-name" }, run.name));

// The tooltip, one for the whole page.
const tip = {
  element: null,
  show(x, y, content) {
    if (!this.element) document.body.append((this.element = el("div", { class: "tip", role: "status" })));
    this.element.replaceChildren(...content);
    this.element.hidden = false;
    const { offsetWidth: width, offsetHeight: height } = this.element;
    const left = x + 16 + width > window.innerWidth ? Math.max(4, x - width - 16) : x + 16;
    this.element.style.setProperty("left", `${left}px`);
    this.element.style.setProperty("top", `${Math.min(Math.max(4, y - height / 2), window.innerHeight - height - 4)}px`);
  },
  hide() {
    if (this.element) this.element.hidden = true;
  },
};
