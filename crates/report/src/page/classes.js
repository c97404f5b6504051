// Confusions and accuracy per class, summed over a row's finished runs.

// With more classes than this, only some are listed, with a search; otherwise all are shown.
const MANY_CLASSES = 40;
// Number of confusions listed, and half the number of classes.
const LISTED = 20;

// The counts as a matrix, one row per true class, one column per predicted class; null if there are too many classes.
function matrixOf({ matrix }) {
  if (!matrix.length) return null;
  const n = data.classes.length;
  const counts = new Array(n * n).fill(0);
  let at = 0;
  for (let i = 0; i < matrix.length; i += 2) {
    at += matrix[i];
    counts[at] = matrix[i + 1];
    at += 1;
  }
  return Array.from({ length: n }, (_, index) => counts.slice(index * n, (index + 1) * n));
}

const sum = (values) => values.reduce((total, value) => total + value, 0);

// Accuracy per class in percent; NaN for a class without images.
const accuracies = ({ images, hits }) => images.map((count, index) => (count ? (100 * hits[index]) / count : NaN));

function classesSection() {
  const rows = data.rows.map((row, index) => ({ row, index })).filter(({ row }) => row.classes);
  if (!rows.length) return false;
  const isBetter = (a, b) => score.is_higher_better ? a > b : a < b;
  // The best row with an inner optimizer's row to compare with, else the best row.
  const paired = rows.filter(({ row }) => row.inner !== null);
  const mean = ({ row }) => row.numbers[scoreIndex]?.mean ?? (score.is_higher_better ? -Infinity : Infinity);
  const best = (paired.length ? paired : rows).reduce((a, b) => (isBetter(mean(b), mean(a)) ? b : a));
  const many = data.classes.length > MANY_CLASSES;
  const state = { row: best.index, order: many ? "worst" : "class", search: "" };
  const draw = () => {
    const row = data.rows[state.row];
    const matrix = matrixOf(row.classes);
    byId("classes-body").replaceChildren(
      el("div", {}, matrix && confusionFigure(row, matrix), confusionsFigure(row, state, matrix === null)), perClassFigure(row, state));
  };
  const set = (change) => { Object.assign(state, change); draw(); };
  byId("classes-controls").append(
    choice("Row", rows.map(({ row, index }) => [index, rowLabel(row)]), state.row, (value) => set({ row: Number(value) })),
    segments("Order", [["class", "By class"], ["accuracy", "Best first"], ["worst", "Worst first"]], state.order, (order) => set({ order })));
  if (many) {
    const search = el("input", { type: "search", id: "class-search", autocomplete: "off", oninput: () => set({ search: search.value.trim().toLowerCase() }) });
    byId("classes-controls").append(el("label", { class: "field" }, el("span", {}, "Find a class"), search));
  }
  draw();
  return true;
}

const isFound = (index, search) => !search || data.classes[index].toLowerCase().includes(search);

function confusionFigure(row, matrix) {
  const n = matrix.length;
  const cell = n <= 12 ? 44 : n <= 30 ? 20 : 6;
  const named = n <= 30;
  const longest = Math.max(...data.classes.map((name) => name.length));
  // A phone shows the figure at two thirds of its size, so its letters start larger.
  const grown = window.innerWidth < 600 && n > 6 && cell === 44 ? 1.3 : 1;
  const scale = cell < 30 ? 0.8 : grown;
  const left = named ? 14 + Math.min(longest, 20) * 6.9 * scale : 26;
  const top = named ? 12 + Math.min(longest, 20) * 5.6 * scale : 26;
  const size = n * cell;
  const right = named ? 4 + Math.min(data.classes.at(-1).length, 20) * 4.4 * scale - cell / 2 : 2;
  const width = left + size + Math.max(2, right);
  // Few classes make a small figure, not one with huge letters.
  const plot = svg("svg", { class: "confusion", viewBox: `0 0 ${width} ${top + size + 2}`, role: "img",
    style: { "max-width": `${Math.min(640, 1.3 * width)}px`, "--letters": `${12 * grown}px` },
    "aria-label": `Confusion matrix of ${rowLabel(row)}, ${count(n, "class", "classes")}; true class by row, predicted class by column` });
  plot.append(svg("rect", { class: "confusion-ground", x: left, y: top, width: size, height: size }));
  matrix.forEach((counts, truth) => {
    const total = sum(counts);
    counts.forEach((images, predicted) => {
      if (!images) return;
      const share = images / total;
      const hit = truth === predicted;
      // Errors are rare, so their shades grow with the square root of the share.
      const shade = hit ? share : Math.min(1, Math.sqrt(share) * 1.15);
      const [x, y] = [left + predicted * cell, top + truth * cell];
      plot.append(svg("rect", { class: hit ? "hit" : "miss", x, y, width: cell, height: cell, "fill-opacity": (0.05 + 0.95 * shade).toFixed(3), "data-at": `${truth},${predicted}` }));
      if (n <= 12 && share >= 0.005) {
        plot.append(svg("text", { class: shade > 0.55 ? "cell light" : "cell", x: x + cell / 2, y: y + cell / 2 + 4, "text-anchor": "middle" }, fixed(100 * share, share < 0.0995 ? 1 : 0)));
      }
    });
  });
  if (named) {
    const className = cell < 30 ? "label small" : "label";
    data.classes.forEach((full, index) => {
      const middle = (index + 0.5) * cell;
      const name = full.length > 20 ? `${full.slice(0, 19)}…` : full;
      plot.append(
        svg("text", { class: className, x: left - 7, y: top + middle + 4, "text-anchor": "end" }, name),
        svg("text", { class: className, transform: `translate(${left + middle + 3} ${top - 7}) rotate(-52)` }, name));
    });
  } else {
    plot.append(svg("text", { class: "label", x: left, y: top - 10 }, "predicted →"), svg("text", { class: "label", transform: `translate(${left - 10} ${top + 60}) rotate(-90)` }, "← true"));
  }
  plot.addEventListener("pointermove", (event) => {
    const at = event.target.dataset?.at;
    if (!at) return tip.hide();
    const [truth, predicted] = at.split(",").map(Number);
    const images = matrix[truth][predicted];
    tip.show(event.clientX, event.clientY, [
      el("p", { class: "tip-title" }, truth === predicted ? `${data.classes[truth]}, correct` : `${data.classes[truth]} predicted as ${data.classes[predicted]}`),
      el("p", {}, `${count(images, "image")}, ${fixed((100 * images) / sum(matrix[truth]), 2)} % of the class`)]);
  });
  plot.addEventListener("pointerleave", () => tip.hide());
  return el("figure", { class: "panel" },
    el("figcaption", {}, el("span", { class: "chart-title" }, "Confusion"), el("span", { class: "muted" }, " percent of the true class (rows) by predicted class (columns)")),
    plot);
}

// The largest confusions by count, not by share: the share of a class with one image says nothing.
function confusionsFigure(row, state, long) {
  const found = row.classes.largest.filter(([truth, predicted]) => isFound(truth, state.search) || isFound(predicted, state.search));
  const shown = found.slice(0, long ? LISTED : 5);
  if (!shown.length) return null;
  const share = ([truth, , images]) => `${fixed((100 * images) / row.classes.images[truth], 1)} %`;
  return el("figure", { class: "panel" },
    el("figcaption", {}, el("span", { class: "chart-title" }, "Largest confusions"), el("span", { class: "muted" }, " true class, predicted class, images, share of the true class")),
    el("table", { class: "figures confusions" },
      el("thead", { class: "unseen" }, el("tr", {}, ["True class", "Predicted class", "Images", "Share of the true class"].map((head) => el("th", { scope: "col" }, head)))),
      el("tbody", {}, shown.map((pair) => el("tr", {},
        el("th", { scope: "row" }, data.classes[pair[0]]), el("td", {}, "→ ", data.classes[pair[1]]), el("td", { class: "number" }, String(pair[2])), el("td", { class: "number" }, share(pair)))))),
    long && found.length > shown.length && el("p", { class: "hint" }, `and ${found.length - shown.length} more: search for a class`));
}

// One bar per class, with a tick at the inner optimizer's accuracy.
function perClassFigure(row, state) {
  const other = row.inner !== null && data.rows[row.inner].classes ? data.rows[row.inner] : null;
  const theirs = other ? accuracies(other.classes) : [];
  const list = accuracies(row.classes).map((accuracy, index) => ({ accuracy, index })).filter(({ index }) => isFound(index, state.search));
  // Classes without images come last in both orders.
  const by = (direction) => (a, b) => Number.isNaN(a.accuracy) - Number.isNaN(b.accuracy) || direction * (a.accuracy - b.accuracy) || 0;
  if (state.order === "accuracy") list.sort(by(-1));
  if (state.order === "worst") list.sort(by(1));
  const shown = data.classes.length > MANY_CLASSES ? list.slice(0, 2 * LISTED) : list;
  const bars = shown.flatMap(({ accuracy, index }) => [
    el("span", { class: "bar-name", title: data.classes[index] }, data.classes[index]),
    el("span", { class: "bar-track", role: "img", "aria-label": `${data.classes[index]}: ${Number.isNaN(accuracy) ? "no images" : `${fixed(accuracy, 1)} percent`}` },
      el("span", { class: "bar", style: { width: `${accuracy || 0}%`, background: colour(row) } }),
      other && Number.isFinite(theirs[index]) && el("span", { class: "bar-tick", style: { left: `${theirs[index]}%` } })),
    el("span", { class: "number" }, Number.isNaN(accuracy) ? "no images" : fixed(accuracy, 1))]);
  return el("figure", { class: "panel" },
    el("figcaption", {}, el("span", { class: "chart-title" }, "Accuracy per class, %"),
      other && el("span", { class: "muted" }, " the tick marks ", rowLabel(other))),
    shown.length
      ? el("div", { class: "bars class-bars", tabindex: shown.length > 20 ? "0" : null, role: "group", "aria-label": "Accuracy per class" }, bars)
      : el("p", { class: "muted" }, "No class matches the search."),
    shown.length < list.length && el("p", { class: "hint" }, `and ${list.length - shown.length} more: search for a class, or change the order`));
}
