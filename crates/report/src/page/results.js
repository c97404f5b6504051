// The table of rows, the table of runs, and sorting.

// `columns`: { title, className, value(item), cell(item), sort: false }. The first click on a heading sorts numbers in
// descending order and text in ascending order.
function sortable(caption, columns, items) {
  const body = el("tbody");
  let [by, direction] = [null, 0];
  const heads = columns.map((column, index) => {
    if (column.sort === false) return el("th", { scope: "col", class: column.className }, column.title);
    return el("th", { scope: "col", class: column.className, "aria-sort": "none" },
      el("button", { type: "button", onclick: () => order(index) }, column.title));
  });
  const fillBody = (list) => body.replaceChildren(...list.map((item) => el("tr", item.attributes || {}, columns.map((column, index) => {
    const value = column.value ? column.value(item) : null;
    return el(index ? "td" : "th", { class: column.className, scope: index ? null : "row", "data-value": value === null || value === undefined ? null : String(value) }, column.cell(item));
  }))));
  function order(index) {
    const numeric = items.some((item) => typeof columns[index].value(item) === "number");
    direction = by === index ? -direction : numeric ? -1 : 1;
    by = index;
    heads.forEach((head, i) => head.hasAttribute("aria-sort") && head.setAttribute("aria-sort", i === by ? (direction > 0 ? "ascending" : "descending") : "none"));
    const key = (item) => columns[index].value(item);
    const missing = (value) => value === null || value === undefined || value === "";
    fillBody([...items].sort((a, b) => {
      const [p, q] = [key(a), key(b)];
      if (missing(p) || missing(q)) return missing(p) - missing(q);
      return direction * (typeof p === "number" ? p - q : String(p).localeCompare(String(q), "en", { numeric: true }));
    }));
  }
  fillBody(items);
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    el("table", { class: "figures" }, el("thead", {}, el("tr", {}, heads)), body));
}

const metricIndex = (key) => data.metrics.findIndex((metric) => metric.key === key);

const isDone = (index) => data.runs[index].status === "done";

// The measure that runs are compared by.
const score = data.measures[0];
const scoreIndex = metricIndex(score.key);

// A score with its decimals and its unit.
const scoreText = (value) => fixed(value, score.digits) + score.unit;

// False for a measure that is always 100 % here; true for everything else.
const isTelling = (key) => data.measures.find((measure) => measure.key === key)?.is_telling ?? true;

// Equal means have no best, and speed depends on a machine that other programs may share.
function bestOf(index) {
  const means = data.rows.map((row) => row.numbers[index]?.mean).filter(Number.isFinite);
  const { is_higher_better, is_of_machine } = data.metrics[index];
  if (new Set(means).size < 2 || is_of_machine) return null;
  return is_higher_better ? Math.max(...means) : Math.min(...means);
}

function spreadCell(row, index) {
  const spread = row.numbers[index];
  if (!spread) return "–";
  const { digits } = data.metrics[index];
  const mean = fixed(spread.mean, digits);
  const shown = spread.mean === bestOf(index) ? el("b", {}, mean) : mean;
  const deviation = spread.std === null ? "" : ` ± ${fixed(spread.std, digits)}`;
  // The two columns of speed depend on the machine; their spread is shown only as a tooltip.
  if (data.metrics[index].is_of_machine) return el("span", { title: mean + deviation }, shown);
  return [shown, el("span", { class: "pm", style: { "min-width": `${digits + 5}ch` } }, deviation)];
}

// The score of every seed, on one scale for all rows.
function strip(row, low, high) {
  const [width, height] = [96, 22];
  const at = linearScale(low, high, 8, width - 8);
  const done = row.runs.filter(isDone).map((run) => ({ seed: data.runs[run].seed, value: data.runs[run].numbers[scoreIndex] })).filter(({ value }) => Number.isFinite(value));
  const spread = row.numbers[scoreIndex];
  const dots = done.map(({ seed, value }) => svg("circle", { cx: at(value), cy: height / 2, r: 3.4, fill: colour(row) },
    svg("title", {}, `seed ${seed}: ${scoreText(value)}`)));
  return svg("svg", { class: "strip", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `seeds ${done.map(({ value }) => fixed(value, score.digits)).join(", ")}` },
    svg("line", { class: "grid", x1: 2, x2: width - 2, y1: height / 2, y2: height / 2 }),
    dots,
    spread && svg("line", { class: "mean", x1: at(spread.mean), x2: at(spread.mean), y1: 2, y2: height - 2, stroke: colour(row) }));
}

function resultsSection() {
  if (data.findings.length) byId("findings").append(...data.findings.map((text) => el("li", {}, text)));
  if (data.targets.length) byId("targets").querySelector("ul").append(...data.targets.map((text) => el("li", {}, text)));
  else byId("targets").remove();
  byId("about-score").textContent = score.in_full.toLowerCase();
  const all = data.runs.filter((run) => run.status === "done").map((run) => run.numbers[scoreIndex]).filter(Number.isFinite);
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const their = (row, source) => row.references.find((reference) => reference.source === source);
  const columns = [
    { title: "Optimizer", className: "name", value: rowLabel, cell: rowName },
    { title: "Runs", className: "number", value: (row) => row.runs.filter(isDone).length, cell: (row) => {
      const done = row.runs.filter(isDone).length;
      return done === row.runs.length ? String(done) : `${done} of ${row.runs.length}`;
    } },
    ...(all.length ? [{ title: "Seeds", className: "strip-cell", sort: false, cell: (row) => strip(row, low, high) }] : []),
    ...data.metrics.map((metric, index) => ({ metric, index })).filter(({ metric }) => isTelling(metric.key)).map(({ metric, index }) => ({
      key: metric.key, title: metric.title, className: "number", value: (row) => row.numbers[index]?.mean ?? null, cell: (row) => spreadCell(row, index),
    })),
    ...data.sources.map((source) => ({
      title: source.title, className: "number theirs", value: (row) => their(row, source.source)?.score ?? null,
      cell: (row) => fixed(their(row, source.source)?.score ?? NaN, score.digits),
    })),
  ];
  // On a phone, the score is beside the name, before the columns that need scrolling.
  if (window.innerWidth < 600) columns.splice(1, 0, ...columns.splice(columns.findIndex((column) => column.key === score.key), 1));
  const several = data.rows.some((row) => row.numbers[scoreIndex] && row.numbers[scoreIndex].std !== null);
  const shown = {
    "about-theirs": data.sources.length > 0, "about-means": several, "about-one-seed": all.length > 0 && !several, "about-none": !all.length,
    "about-best": data.metrics.some((_, index) => bestOf(index) !== null), "about-differences": data.comparisons.length > 0,
  };
  for (const [id, isShown] of Object.entries(shown)) if (!isShown) byId(id)?.remove();
  byId("results-table").append(sortable("Results", columns, data.rows));
  const runs = data.rows.flatMap((row) => row.runs.map((index) => ({ row, run: data.runs[index], attributes: { class: data.runs[index].status } })));
  byId("runs-table").append(sortable("Every run", [
    { title: "Run", className: "name", value: (item) => item.run.name, cell: (item) => runName(item.row, item.run) },
    { title: "Seed", className: "number", value: (item) => item.run.seed, cell: (item) => String(item.run.seed) },
    { title: "Status", className: "", value: (item) => item.run.status, cell: (item) => item.run.status },
    ...data.metrics.map((metric, index) => ({
      title: metric.title, className: "number", value: (item) => item.run.numbers[index] ?? null,
      cell: (item) => fixed(item.run.numbers[index] ?? NaN, metric.digits),
    })),
    { title: `Best ${score.title.toLowerCase()}`, className: "number", value: (item) => item.run.best_score, cell: (item) => fixed(item.run.best_score, score.digits) },
    { title: "at epoch", className: "number", value: (item) => item.run.best_epoch, cell: (item) => fixed(item.run.best_epoch, 0) },
    ...(data.runs.some((run) => run.ece !== null) ? [{ title: "Calibration error", className: "number", value: (item) => item.run.ece, cell: (item) => fixed(item.run.ece, 4) }] : []),
    { title: "Peak memory, MiB", className: "number", value: (item) => item.run.peak_rss_mb, cell: (item) => fixed(item.run.peak_rss_mb, 0) },
  ], runs));
  return true;
}
