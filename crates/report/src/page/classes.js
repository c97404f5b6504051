// Confusions and accuracy of each class, summed over a row's finished runs.

// The counts as rows of a matrix: true class, then predicted class.
function confusionOf(row) {
  const n = data.classes.length;
  const counts = new Array(n * n).fill(0);
  let at = 0;
  for (let i = 0; i < row.confusion.length; i += 2) {
    at += row.confusion[i];
    counts[at] = row.confusion[i + 1];
    at += 1;
  }
  return Array.from({ length: n }, (_, index) => counts.slice(index * n, (index + 1) * n));
}

const sum = (values) => values.reduce((total, value) => total + value, 0);

const accuracies = (matrix) => matrix.map((counts, index) => (sum(counts) ? (100 * counts[index]) / sum(counts) : NaN));

function classesSection() {
  const rows = data.rows.map((row, index) => ({ row, index })).filter(({ row }) => row.confusion.length);
  if (!rows.length) return false;
  const top1 = metricIndex("top1");
  // The best row that has another to be set against.
  const paired = rows.filter(({ row }) => row.inner !== null);
  const best = (paired.length ? paired : rows).reduce((a, b) => ((b.row.numbers[top1]?.mean ?? 0) > (a.row.numbers[top1]?.mean ?? 0) ? b : a));
  const state = { row: best.index, order: "class" };
  const draw = () => {
    const row = data.rows[state.row];
    const matrix = confusionOf(row);
    byId("classes-body").replaceChildren(confusionFigure(row, matrix), perClassFigure(row, matrix, state));
  };
  byId("classes-controls").append(
    choice("Row", rows.map(({ row, index }) => [index, rowLabel(row)]), state.row, (value) => { state.row = Number(value); draw(); }),
    segments("Order", [["class", "By class"], ["accuracy", "By accuracy"]], state.order, (order) => { state.order = order; draw(); }));
  draw();
  return true;
}

function confusionFigure(row, matrix) {
  const n = matrix.length;
  const cell = n <= 12 ? 44 : n <= 30 ? 20 : 6;
  const named = n <= 30;
  const longest = Math.max(...data.classes.map((name) => name.length));
  const scale = cell < 30 ? 0.8 : 1;
  const left = named ? 14 + Math.min(longest, 20) * 6.9 * scale : 26;
  const top = named ? 12 + Math.min(longest, 20) * 5.6 * scale : 26;
  const size = n * cell;
  const right = named ? 4 + data.classes.at(-1).length * 4.4 * scale - cell / 2 : 2;
  const plot = svg("svg", { class: "confusion", viewBox: `0 0 ${left + size + Math.max(2, right)} ${top + size + 2}`, role: "img",
    "aria-label": `Confusion matrix of ${rowLabel(row)}, ${n} classes; true class by row, predicted class by column` });
  plot.append(svg("rect", { class: "confusion-ground", x: left, y: top, width: size, height: size }));
  matrix.forEach((counts, truth) => {
    const total = sum(counts);
    counts.forEach((count, predicted) => {
      if (!count) return;
      const share = count / total;
      const hit = truth === predicted;
      // Errors are rare, so their shades rise with the root of the share.
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
    const count = matrix[truth][predicted];
    tip.show(event.clientX, event.clientY, [
      el("p", { class: "tip-title" }, truth === predicted ? `${data.classes[truth]}, rightly` : `${data.classes[truth]} taken for ${data.classes[predicted]}`),
      el("p", {}, `${count} images, ${fixed((100 * count) / sum(matrix[truth]), 2)} % of the class`)]);
  });
  plot.addEventListener("pointerleave", () => tip.hide());
  const pairs = matrix.flatMap((counts, truth) => counts.map((count, predicted) => ({ truth, predicted, share: count / (sum(counts) || 1) })))
    .filter((pair) => pair.truth !== pair.predicted && pair.share > 0).sort((a, b) => b.share - a.share).slice(0, 5);
  return el("figure", { class: "panel" },
    el("figcaption", {}, el("span", { class: "chart-title" }, "Confusion"), el("span", { class: "muted" }, " percent of the true class (rows) by predicted class (columns)")),
    plot,
    pairs.length > 0 && el("p", { class: "pairs" }, el("span", { class: "muted" }, "Most confused: "), pairs.map((pair, index) =>
      `${index ? "; " : ""}${data.classes[pair.truth]} → ${data.classes[pair.predicted]} ${fixed(100 * pair.share, 1)} %`)));
}

// A bar for each class, with the inner optimizer's accuracy as a tick.
function perClassFigure(row, matrix, state) {
  const other = row.inner !== null && data.rows[row.inner].confusion.length ? data.rows[row.inner] : null;
  const theirs = other ? accuracies(confusionOf(other)) : [];
  const list = accuracies(matrix).map((accuracy, index) => ({ accuracy, index }));
  if (state.order === "accuracy") list.sort((a, b) => b.accuracy - a.accuracy);
  const bars = list.map(({ accuracy, index }) => el("div", { class: "bar-row" },
    el("span", { class: "bar-name" }, data.classes[index]),
    el("span", { class: "bar-track", role: "img", "aria-label": `${fixed(accuracy, 1)} percent` },
      el("span", { class: "bar", style: { width: `${accuracy || 0}%`, background: colour(row) } }),
      other && el("span", { class: "bar-tick", style: { left: `${theirs[index]}%` } })),
    el("span", { class: "number" }, fixed(accuracy, 1))));
  return el("figure", { class: "panel" },
    el("figcaption", {}, el("span", { class: "chart-title" }, "Accuracy of each class, %"),
      other && el("span", { class: "muted" }, " the tick is ", rowLabel(other))),
    el("div", { class: "bars", tabindex: list.length > 20 ? "0" : null }, bars));
}
