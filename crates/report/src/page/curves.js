// The charts, their common controls, and the legend.

// A measure without an upper limit behaves like a loss: it falls by factors, and a row may explode.
const chartOf = ({ key, in_full, unit, range }) => {
  const isOpen = range[1] === null;
  return { key, title: unit.trim() ? `${in_full}, ${unit.trim()}` : in_full, log: isOpen, robust: isOpen, range };
};

const CHARTS = [
  { key: "train_loss", title: `Training loss, nats ${data.a_unit}`, log: true, robust: true },
  { key: "valid_loss", title: `Validation loss, nats ${data.a_unit}`, log: true, robust: true },
  ...data.measures.map(chartOf),
  { key: "learning_rate", title: "Learning rate", log: true },
  { key: "momentum", title: "Momentum (β₁ for AdamW)", log: false },
];

function curvesSection() {
  const present = (key) => isTelling(key) && data.runs.some((run) => key in run.curves);
  const timed = data.runs.some((run) => run.clock[0].length);
  const counted = data.runs.some((run) => run.steps_per_epoch);
  const state = { axis: counted ? "epoch" : "step", smoothing: 0, log: false, show: "deviation", hidden: new Set(), zoom: null, cursor: null };
  const charts = CHARTS.filter((options) => present(options.key)).map((options) => new LineChart(options, share));
  if (!charts.length) return false;

  function render() {
    for (const chart of charts) chart.render(state);
    reset.disabled = !state.zoom;
  }

  function share(change) {
    Object.assign(state, change);
    if ("zoom" in change) render();
    else for (const chart of charts) chart.drawCursor(state.cursor);
  }

  const set = (change) => {
    Object.assign(state, change);
    render();
  };
  const reset = el("button", { type: "button", id: "reset-zoom", class: "quiet", onclick: () => share({ zoom: null }) }, "Reset zoom");
  const amount = el("output", { class: "number" }, "0");
  const slider = el("input", { type: "range", id: "smoothing", min: 0, max: 0.99, step: 0.01, value: 0, oninput: () => {
    amount.textContent = Number(slider.value).toString();
    set({ smoothing: Number(slider.value) });
  } });
  const log = el("input", { type: "checkbox", id: "log", onchange: () => set({ log: log.checked }) });
  const axes = [["step", "Step"], counted && ["epoch", "Epoch"], timed && ["time", "Time"]].filter(Boolean);
  byId("curves-controls").append(
    segments("Axis", axes, state.axis, (axis) => set({ axis, zoom: null, cursor: null })),
    segments("Show", [["deviation", "Mean ± s.d."], ["range", "Min–max"], ["runs", "Each run"]], state.show, (show) => set({ show })),
    el("label", { class: "field" }, el("span", {}, "Smoothing"), slider, amount),
    el("label", { class: "field" }, log, el("span", {}, "Log scale")),
    reset,
  );
  data.rows.forEach((row, index) => byId("legend").append(legendEntry(row, index, state, render)));
  byId("charts").append(...charts.map((chart) => chart.figure));
  render();
  return true;
}

// A click shows or hides the row; with Alt or Shift, it shows this row alone, or all rows again.
function legendEntry(row, index, state, render) {
  const mark = () => [...byId("legend").children].forEach((button, i) => button.setAttribute("aria-pressed", String(!state.hidden.has(i))));
  const alone = () => {
    const others = data.rows.map((_, i) => i).filter((i) => i !== index);
    const already = others.every((i) => state.hidden.has(i)) && !state.hidden.has(index);
    state.hidden = new Set(already ? [] : others);
  };
  const toggle = (event) => {
    if (event.altKey || event.shiftKey) alone();
    else if (!state.hidden.delete(index)) state.hidden.add(index);
    mark();
    render();
  };
  const unfinished = row.runs.filter((run) => data.runs[run].status !== "done").length;
  const note = unfinished ? `${row.runs.length - unfinished} of ${row.runs.length} done` : "";
  return el("button", { type: "button", "aria-pressed": "true", title: "Click to show or hide; Shift-click to show alone", onclick: toggle },
    rowName(row), note && el("span", { class: "row-note" }, note));
}
