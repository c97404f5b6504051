// Differences between rows, paired by seed, with their intervals.

// The comparison of `row` with `baseline`, turned round if the data have the opposite one.
function comparison(row, baseline, metric) {
  const found = data.comparisons.find((item) => item.metric === metric &&
    ((item.row === row && item.baseline === baseline) || (item.row === baseline && item.baseline === row)));
  if (!found || found.row === row) return found;
  const turned = (value) => (value === null ? null : -value);
  return { ...found, row, baseline, mean: -found.mean, low: turned(found.high), high: turned(found.low) };
}

function differencesSection() {
  if (!data.comparisons.length) return false;
  byId("about-pairs").textContent = data.shared_by_seed;
  const state = { metric: score.key, baseline: "usual" };
  const draw = () => byId("differences-plot").replaceChildren(differencesTable(state));
  const baselines = [["usual", "inner optimizer, or first row"], ...data.rows.map((row, index) => [String(index), rowLabel(row)])];
  byId("differences-controls").append(
    segments("Metric", data.compared, state.metric, (metric) => { state.metric = metric; draw(); }),
    choice("Against", baselines, state.baseline, (baseline) => { state.baseline = baseline; draw(); }));
  draw();
  return true;
}

function differencesTable(state) {
  const items = data.rows.flatMap((row, index) => {
    const baseline = state.baseline === "usual" ? row.baseline : Number(state.baseline);
    if (baseline === null || baseline === index) return [];
    const found = comparison(index, baseline, state.metric);
    return found ? [{ ...found, row, baseline: data.rows[baseline] }] : [];
  });
  if (!items.length) return el("p", { class: "muted" }, "No finished runs with the same settings share a seed here.");
  const { digits, is_higher_better: better, title_of_difference: unit } = data.metrics[metricIndex(state.metric)];
  // On a phone, the plot is narrower, and texts keep their size.
  const [width, height] = [window.innerWidth < 600 ? 150 : 360, 30];
  const ends = items.flatMap((item) => [item.mean, item.low ?? item.mean, item.high ?? item.mean]);
  // Zero is always visible, with some room on either side.
  const room = 0.12 * (Math.max(0, ...ends) - Math.min(0, ...ends) || 1);
  const at = linearScale(Math.min(0, ...ends) - room, Math.max(0, ...ends) + room, 6, width - 6);
  const ticks = at.ticks(width < 200 ? 2 : 5);
  const interval = (item) => {
    const y = height / 2;
    const wide = item.low !== null;
    return svg("svg", { class: "forest", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `difference ${signed(item.mean, digits)}` },
      ticks.map((tick) => svg("line", { class: tick === 0 ? "zero" : "grid", x1: at(tick), x2: at(tick), y1: 0, y2: height })),
      wide && svg("line", { x1: at(item.low), x2: at(item.high), y1: y, y2: y, stroke: colour(item.row), "stroke-width": 2.4, "stroke-linecap": "round" }),
      svg("circle", { cx: at(item.mean), cy: y, r: 5, fill: wide ? colour(item.row) : "var(--paper)", stroke: colour(item.row), "stroke-width": 2 }));
  };
  const axis = svg("svg", { class: "forest", viewBox: `0 0 ${width} 22`, "aria-hidden": "true" },
    ticks.map((tick) => svg("text", { x: at(tick), y: 15, "text-anchor": "middle" }, tick === 0 ? "0" : signed(tick, 6).replace(/\.?0+$/, ""))));
  const verdict = (item) => {
    if (item.low === null) return el("span", { class: "muted" }, item.pairs > 1 ? "the same in all seeds" : "one pair");
    const apart = item.low > 0 || item.high < 0;
    if (!apart) return el("span", { class: "muted" }, "not distinguishable");
    return el("b", {}, item.mean > 0 === better ? "better" : "worse");
  };
  const range = (item) => `${signed(item.low, digits)} to ${signed(item.high, digits)}`;
  // On a phone, the numbers are under the bar, visible without scrolling.
  const below = (item) => el("span", { class: "below" }, el("b", {}, signed(item.mean, digits)), item.low === null ? "" : `, ${range(item)}`, " ", verdict(item));
  const heads = [["Row", "name"], [better ? "← worse · better →" : "← better · worse →", "forest-cell"],
    [unit, "number"], ["95 % interval", "number"], ["Pairs", "number"], ["Smallest visible", "number"], ["Verdict", ""]];
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Paired differences" }, el("table", { class: "figures differences" },
    el("thead", {}, el("tr", {}, heads.map(([text, className]) => el("th", { class: className, scope: "col" }, text)))),
    el("tbody", {}, items.map((item) => el("tr", {},
      el("th", { class: "name", scope: "row" }, rowName(item.row), state.baseline === "usual" && el("span", { class: "muted against" }, ` against ${rowLabel(item.baseline)}`)),
      el("td", { class: "forest-cell" }, interval(item), below(item)),
      el("td", { class: "number", "data-value": String(item.mean) }, signed(item.mean, digits)),
      el("td", { class: "number" }, item.low === null ? "–" : range(item)),
      el("td", { class: "number" }, String(item.pairs)),
      el("td", { class: "number" }, item.smallest_visible === null ? "–" : item.smallest_visible.toFixed(digits)),
      el("td", {}, verdict(item))))),
    el("tfoot", {}, el("tr", {}, el("td", {}), el("td", { class: "forest-cell" }, axis), el("td", { colspan: 5 })))));
}
