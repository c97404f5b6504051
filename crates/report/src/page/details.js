// Time, published figures, settings, origin, and what was left out.

const PARTS = { data: "Waiting for data", forward: "Forward", backward: "Backward", optimizer: "Optimizer", validation: "Validation", other: "Other" };

function timeSection() {
  const seconds = metricIndex("seconds");
  const rows = data.rows.filter((row) => row.time.length);
  if (!rows.length) return false;
  const whole = (row) => Math.max(row.numbers[seconds]?.mean ?? 0, sum(row.time.map(([, value]) => value)));
  const most = Math.max(...rows.map(whole));
  const partsOf = (row) => {
    const rest = whole(row) - sum(row.time.map(([, value]) => value));
    return rest > 0.005 * whole(row) ? [...row.time, ["other", rest]] : row.time;
  };
  const used = Object.keys(PARTS).filter((part) => rows.some((row) => partsOf(row).some(([name]) => name === part)));
  byId("time-body").append(
    el("div", { class: "legend plain" }, used.map((part) => el("span", {}, el("i", { class: `key part-${part}` }), PARTS[part]))),
    el("div", { class: "bars time" }, rows.map((row) => el("div", { class: "bar-row" },
      el("span", { class: "bar-name" }, rowName(row)),
      el("span", { class: "stack" }, partsOf(row).map(([part, value]) => el("span", {
        class: `part part-${part}`, style: { width: `${(100 * value) / most}%` }, tabindex: "0", role: "img",
        "aria-label": `${PARTS[part]} ${duration(value)}`,
        onpointermove: (event) => tip.show(event.clientX, event.clientY, [el("p", { class: "tip-title" }, PARTS[part]),
          el("p", {}, `${duration(value)}, ${fixed((100 * value) / whole(row), 1)} % of a run`)]),
        onpointerleave: () => tip.hide(),
      }))),
      el("span", { class: "number" }, duration(whole(row)))))),
    el("p", { class: "hint" }, "Mean over the finished runs of a row."));
  return true;
}

function theirsSection() {
  if (!data.sources.length) return false;
  const digits = (value) => (value === null ? "–" : short(value));
  const remarks = [];
  const note = (text) => {
    if (!text) return null;
    if (!remarks.includes(text)) remarks.push(text);
    return el("sup", {}, String(remarks.indexOf(text) + 1));
  };
  const ours = (row, index) => fixed(row.numbers[index]?.mean ?? NaN, data.metrics[index].digits);
  const columns = ["train_loss", "valid_loss", score.key].map(metricIndex);
  const shown = data.rows.filter((row) => row.references.length);
  const groups = data.sources.map((source) => ({ ...source, long: !source.source.startsWith("paper") }));
  const cells = (row, group) => {
    const found = row.references.find((reference) => reference.source === group.source);
    if (!found) return el("td", { class: "number theirs", colspan: group.long ? 3 : 1 }, "–");
    const reached = el("td", { class: "number theirs" }, fixed(found.score, score.digits), !group.long && note(found.remark));
    if (!group.long) return reached;
    return [el("td", { class: "number theirs first" }, digits(found.train_loss), note(found.remark)), el("td", { class: "number theirs" }, digits(found.valid_loss)), reached];
  };
  const names = columns.map((index) => data.metrics[index].title);
  byId("theirs-body").append(
    el("p", { class: "lead" }, "Only ", el("b", {}, "Ours"), " was measured here. The other figures are quoted; they come from other networks, augmentations and schedules."),
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Published figures" }, el("table", { class: "figures" },
      el("thead", {},
        el("tr", {}, el("th", { rowspan: 2, scope: "col", class: "name" }, "Optimizer"), el("th", { colspan: 3, scope: "colgroup" }, "Ours"),
          groups.map((group) => el("th", { colspan: group.long ? 3 : 1, scope: "colgroup", class: "theirs" }, group.title))),
        el("tr", {}, names.map((name) => el("th", { scope: "col", class: "number" }, name)),
          groups.flatMap((group) => (group.long ? names : names.slice(2)).map((name) => el("th", { scope: "col", class: "number theirs" }, name))))),
      el("tbody", {}, shown.map((row) => el("tr", {}, el("th", { scope: "row", class: "name" }, rowName(row)),
        columns.map((index) => el("td", { class: "number" }, ours(row, index))), groups.map((group) => cells(row, group))))))),
    el("ol", { class: "notes" }, remarks.map((text) => el("li", {}, text))),
    el("dl", { class: "sources" }, groups.flatMap((group) => [el("dt", {}, group.title), el("dd", {}, group.about)])));
  return true;
}

// A dotted key with line breaks allowed after dots and underscores.
const breakable = (key) => key.split(/(?<=[._])/).flatMap((part) => [part, el("wbr")]);

function settingsSection() {
  const { same, different } = data.config;
  const keys = Object.keys(same);
  if (!keys.length && !different.length) return false;
  if (different.length) {
    byId("settings-body").append(el("p", { class: "lead" }, "Settings in which runs differ. ", el("code", {}, "optimizer."), " stands for the row’s inner optimizer; values other than the most common one are marked."),
      el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Settings in which runs differ" }, el("table", { class: "figures settings" },
        el("thead", {}, el("tr", {}, el("th", { scope: "col", class: "name" }, "Setting"), data.rows.map((row) => el("th", { scope: "col" }, rowLabel(row))))),
        el("tbody", {}, different.map(([key, values]) => {
          const counts = new Map();
          for (const value of values) if (value !== null) counts.set(value, (counts.get(value) || 0) + 1);
          const common = [...counts].sort((a, b) => b[1] - a[1])[0];
          const usual = common && common[1] > 1 ? common[0] : null;
          return el("tr", {}, el("th", { scope: "row", class: "name" }, el("code", {}, breakable(key))), values.map((value) => (value === null
            ? el("td", { class: "none" }, "–")
            : el("td", { class: usual !== null && value !== usual ? "odd" : null }, value))));
        })))));
  } else byId("settings-body").append(el("p", { class: "lead" }, "All runs have the same settings."));
  if (keys.length) {
    byId("settings-body").append(el("details", {}, el("summary", {}, `${count(keys.length, "setting")} that all runs share`),
      el("dl", { class: "pairs-list" }, keys.flatMap((key) => [el("dt", {}, el("code", {}, key)), el("dd", {}, same[key])]))));
  }
  return true;
}

const FIRST = ["commit", "cpu", "threads", "device", "os", "version", "candle", "rustc"];

// The shell commands that reproduce the runs, one a line.
function reproduction({ commands, dirty }) {
  if (!commands.length) return null;
  const each = commands.length > 1 ? ", session by session" : "";
  return [el("p", { class: "muted" }, `To reproduce${each}${dirty ? ", except for uncommitted changes" : ""}:`),
    el("pre", { class: "command" }, el("code", {}, commands.join("\n")))];
}

function originSection() {
  if (!data.environment.length) return false;
  const place = (key) => (FIRST.includes(key) ? FIRST.indexOf(key) : FIRST.length);
  for (const { values, runs, ...made } of data.environment) {
    const keys = Object.keys(values).sort((a, b) => place(a) - place(b) || a.localeCompare(b));
    const names = runs.map((run) => data.runs[run].name);
    byId("origin-body").append(el("div", { class: "panel origin" },
      data.environment.length > 1 && el("p", { class: "muted" }, `${names.length} of ${data.runs.length} runs: ${names.slice(0, 6).join(", ")}${names.length > 6 ? ", ..." : ""}`),
      reproduction(made),
      el("dl", { class: "pairs-list" }, keys.flatMap((key) => [
        el("dt", {}, key), el("dd", {}, key === "commit" ? el("code", {}, values[key]) : values[key])]))));
  }
  return true;
}

function leftOutSection() {
  if (!data.left_out.length) return false;
  byId("left-out-body").append(el("ul", { class: "left-out" }, data.left_out.map((item) => el("li", {}, el("code", {}, item.what), " ", item.why))));
  return true;
}
