// A line chart with bands over seeds, a cursor shared by all charts, and zoom along x.

const MARGIN = { left: 54, top: 10, right: 14, bottom: 38 };
let chartCount = 0;

class LineChart {
  // `options`: key of the curve, title, `log` (a logarithmic axis makes sense), `range` (lowest and highest possible value), and
  // `robust` (the axis may leave out a row that explodes). `share` receives changes of cursor and zoom.
  constructor(options, share) {
    Object.assign(this, options);
    this.share = share;
    this.clip = `clip-${(chartCount += 1)}`;
    this.layers = svg("g");
    this.overlay = svg("g", { class: "overlay" });
    this.root = svg("svg", {
      class: "plot", tabindex: "0", role: "img",
      onpointermove: (event) => this.move(event), onpointerleave: () => this.leave(),
      onpointerdown: (event) => this.down(event), onpointerup: (event) => this.up(event),
      ondblclick: () => share({ zoom: null }), onkeydown: (event) => this.keydown(event), onblur: () => this.leave(),
    }, this.layers, this.overlay);
    this.heading = el("figcaption", {}, el("span", { class: "chart-title" }, this.title));
    this.beyond = el("p", { class: "beyond" });
    this.figure = el("figure", { class: "chart", "data-key": this.key }, this.heading, this.root, this.beyond);
    new ResizeObserver(() => this.state && this.render(this.state)).observe(this.root);
  }

  render(state) {
    this.state = state;
    const width = Math.max(160, this.root.clientWidth || 480);
    const height = this.root.clientHeight || 260;
    this.series = data.rows.flatMap((row, index) => (state.hidden.has(index) ? [] : seriesOf(row, this.key, this.range, state)));
    this.root.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.layers.replaceChildren();
    this.overlay.replaceChildren();
    this.beyond.textContent = "";
    const [left, right, top, bottom] = [MARGIN.left, width - MARGIN.right, MARGIN.top, height - MARGIN.bottom];
    this.box = { left, right, top, bottom };
    const empty = !this.series.length;
    this.root.setAttribute("aria-label", `${this.title}: ${empty ? "no values" : this.describe()}`);
    if (empty) {
      this.x = null;
      this.layers.append(svg("text", { class: "empty", x: width / 2, y: height / 2, "text-anchor": "middle" }, "No values for the rows shown"));
      return;
    }
    const [first, last] = state.zoom || [0, this.full];
    this.x = linearScale(first, last, left, right);
    this.y = this.verticalScale(state, first, last, bottom, top);
    this.drawAxes(state);
    const inside = svg("g", { "clip-path": `url(#${this.clip})` });
    this.layers.append(
      svg("clipPath", { id: this.clip }, svg("rect", { x: left, y: top - 2, width: right - left, height: bottom - top + 4 })), inside);
    for (const series of this.series) {
      if (series.low.some((low, i) => low < series.high[i])) inside.append(svg("path", { class: "band", d: this.bandPath(series), fill: colour(series.row) }));
    }
    for (const series of this.series) {
      inside.append(svg("path", {
        class: state.show === "runs" ? "line thin" : "line", d: this.linePath(series), stroke: colour(series.row),
        "stroke-width": (series.row.strong ? 2.2 : 1.6) * (state.show === "runs" ? 0.6 : 1), "stroke-dasharray": series.row.dash || null,
      }));
      if (series.x.length === 1) inside.append(svg("circle", { class: "point", cx: this.x(series.x[0]), cy: this.y(series.y[0]), r: 3, fill: colour(series.row) }));
    }
    this.markBeyond(inside, state.log && this.log);
    this.drawCursor(state.cursor);
  }

  // A line that leaves the chart at the top is marked there and named below: an axis that includes it would flatten all others.
  markBeyond(inside, logarithmic) {
    if (logarithmic) return;
    const gone = this.series.filter((series) => !this.fitting.includes(series) && series.y.some((y) => y > this.y.high));
    for (const series of gone) {
      const i = series.y.findIndex((y) => y > this.y.high);
      const [x, y] = [this.x(series.x[i]), this.box.top];
      inside.append(svg("path", { class: "beyond-mark", d: `M${x - 5} ${y + 9}L${x} ${y}L${x + 5} ${y + 9}Z`, fill: colour(series.row) }));
    }
    if (gone.length) this.beyond.textContent = `Beyond the axis: ${gone.map((series) => `${series.name}, up to ${short(Math.max(...series.y))}`).join("; ")}`;
  }

  // The series that the axis includes: in ascending order of their highest values, while the range grows at most eightfold at once.
  fittingSeries(logarithmic) {
    if (logarithmic || !this.robust) return this.series;
    const ends = this.series.map((series) => ({ series, low: Math.min(...series.y), high: Math.max(...series.y) })).sort((a, b) => a.high - b.high);
    let [low, high] = [Math.min(...ends.map((end) => end.low)), ends[Math.floor((ends.length - 1) / 4)]?.high];
    const fitting = [];
    for (const end of ends) {
      if (end.high - low > 8 * (high - low) && high > low) break;
      high = Math.max(high, end.high);
      fitting.push(end.series);
    }
    return fitting;
  }

  // Fits the axis to what is visible, with a little room. Bands count, unless they dwarf the lines.
  verticalScale(state, first, last, bottom, top) {
    const logarithmic = state.log && this.log;
    let [low, high, wide, tall] = [Infinity, -Infinity, Infinity, -Infinity];
    this.fitting = this.fittingSeries(logarithmic);
    for (const series of this.fitting) {
      series.x.forEach((x, i) => {
        if (x < first || x > last || (logarithmic && !(series.y[i] > 0))) return;
        low = Math.min(low, series.y[i]);
        high = Math.max(high, series.y[i]);
        if (!logarithmic || series.low[i] > 0) wide = Math.min(wide, series.low[i] ?? series.y[i]);
        tall = Math.max(tall, series.high[i] ?? series.y[i]);
      });
    }
    if (!Number.isFinite(low)) [low, high] = logarithmic ? [0.1, 1] : [0, 1];
    const span = logarithmic ? 0 : high - low;
    if (wide < low && (logarithmic ? wide > low / 10 : low - wide < 1.5 * span)) low = wide;
    if (tall > high && (logarithmic ? tall < high * 10 : tall - high < 1.5 * span)) high = tall;
    if (logarithmic) return logScale(low / 1.06, high * 1.06, bottom, top);
    const room = high > low ? 0.05 * (high - low) : this.range ? 5 : 0;
    return linearScale(within(this.range, low - room), within(this.range, high + room), bottom, top);
  }

  drawAxes(state) {
    const { left, right, top, bottom } = this.box;
    const axes = svg("g", { class: "axes", "aria-hidden": "true" });
    for (const tick of this.y.ticks(5)) {
      const y = this.y(tick);
      if (y < top - 1 || y > bottom + 1) continue;
      axes.append(svg("line", { class: "grid", x1: left, x2: right, y1: y, y2: y }),
        svg("text", { x: left - 8, y: y + 4, "text-anchor": "end" }, tickText(tick)));
    }
    for (const tick of this.x.ticks(Math.max(2, (right - left) / 80))) {
      const x = this.x(tick);
      axes.append(svg("line", { class: "tick", x1: x, x2: x, y1: bottom, y2: bottom + 4 }),
        svg("text", { x, y: bottom + 18, "text-anchor": "middle" }, state.axis === "time" ? this.timeTick(tick) : tickText(tick)));
    }
    axes.append(svg("line", { class: "base", x1: left, x2: right, y1: bottom, y2: bottom }),
      svg("text", { class: "axis-title", x: right, y: bottom + 34, "text-anchor": "end" }, AXES[state.axis].title + (state.axis === "time" ? `, ${this.timeUnit()[1]}` : "")));
    this.layers.append(axes);
  }

  timeUnit() {
    const last = this.x.high;
    return last >= 7200 ? [3600, "h"] : last >= 180 ? [60, "min"] : [1, "s"];
  }

  timeTick(seconds) {
    return tickText(Number((seconds / this.timeUnit()[0]).toPrecision(6)));
  }

  linePath(series) {
    let path = "";
    for (let i = 0; i < series.x.length; i += 1) path += `${i ? "L" : "M"}${this.x(series.x[i]).toFixed(1)} ${this.y(series.y[i]).toFixed(1)}`;
    return path;
  }

  bandPath(series) {
    const at = (i, value) => `${this.x(series.x[i]).toFixed(1)} ${this.y(value).toFixed(1)}`;
    const upper = series.high.map((value, i) => at(i, value));
    const lower = series.low.map((value, i) => at(i, value)).reverse();
    return `M${upper.concat(lower).join("L")}Z`;
  }

  describe() {
    const last = this.series.slice(0, 8).map((series) => `${series.name} ${short(series.y.at(-1))}`);
    return `last values ${last.join(", ")}${this.series.length > 8 ? ", ..." : ""}`;
  }

  // Draws a vertical line and dots at x; `null` removes them.
  drawCursor(x) {
    this.overlay.replaceChildren();
    if (x === null || !this.x || x < this.x.low || x > this.x.high) return [];
    const { top, bottom } = this.box;
    const at = this.x(x);
    this.overlay.append(svg("line", { class: "cursor", x1: at, x2: at, y1: top, y2: bottom }));
    const points = [];
    for (const series of this.series) {
      if (x > series.x.at(-1) * 1.02 + 1e-9) continue;
      const i = nearest(series.x, x);
      points.push({ series, i });
      const y = this.y(series.y[i]);
      if (y >= top - 3 && y <= bottom + 3) this.overlay.append(svg("circle", { class: "dot", cx: this.x(series.x[i]), cy: y, r: 3, fill: colour(series.row) }));
    }
    return points;
  }

  pixel(event) {
    return event.clientX - this.root.getBoundingClientRect().left;
  }

  move(event) {
    if (!this.x) return;
    const pixel = Math.min(Math.max(this.pixel(event), this.box.left), this.box.right);
    if (this.dragFrom !== undefined) {
      const [a, b] = [Math.min(this.dragFrom, pixel), Math.max(this.dragFrom, pixel)];
      this.overlay.replaceChildren(svg("rect", { class: "selection", x: a, y: this.box.top, width: b - a, height: this.box.bottom - this.box.top }));
      return;
    }
    this.point(this.x.invert(pixel), event.clientX, event.clientY);
  }

  point(x, clientX, clientY) {
    this.share({ cursor: x });
    const points = this.drawCursor(x);
    points.sort((a, b) => b.series.y[b.i] - a.series.y[a.i]);
    const most = 14;
    const rows = points.slice(0, most).map(({ series, i }) => {
      const spread = series.high.length && series.high[i] > series.low[i];
      const text = this.state.show === "range" ? `${short(series.low[i])} to ${short(series.high[i])}` : `± ${short(series.high[i] - series.y[i])}`;
      return el("tr", {}, el("td", {}, swatch(series.row)), el("td", {}, series.name),
        el("td", { class: "number" }, short(series.y[i])), el("td", { class: "pm" }, spread ? text : ""));
    });
    if (!rows.length) return tip.hide();
    const more = points.length > most ? [el("p", { class: "muted" }, `and ${points.length - most} more`)] : [];
    tip.show(clientX, clientY, [el("p", { class: "tip-title" }, AXES[this.state.axis].text(x)), el("table", {}, el("tbody", {}, rows)), ...more]);
  }

  leave() {
    tip.hide();
    if (this.dragFrom === undefined) this.share({ cursor: null });
  }

  down(event) {
    if (event.button !== 0 || event.pointerType === "touch" || !this.x) return;
    this.dragFrom = Math.min(Math.max(this.pixel(event), this.box.left), this.box.right);
    this.root.setPointerCapture(event.pointerId);
    tip.hide();
  }

  up(event) {
    if (this.dragFrom === undefined) return;
    const [a, b] = [this.dragFrom, Math.min(Math.max(this.pixel(event), this.box.left), this.box.right)].sort((p, q) => p - q);
    this.dragFrom = undefined;
    this.overlay.replaceChildren();
    if (b - a > 6) this.share({ zoom: [this.x.invert(a), this.x.invert(b)] });
  }

  keydown(event) {
    // With these, keys are the browser's: to zoom the page, or to go back.
    if (!this.x || event.ctrlKey || event.metaKey || event.altKey) return;
    const { low, high } = this.x;
    const at = this.state.cursor ?? low;
    const moves = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 };
    if (event.key in moves) {
      const x = Math.min(Math.max(at + (moves[event.key] * (high - low)) / 100, low), high);
      const box = this.root.getBoundingClientRect();
      this.point(x, box.left + this.x(x), box.top + box.height / 2);
    } else if (event.key === "Home" || event.key === "End") {
      const box = this.root.getBoundingClientRect();
      const x = event.key === "Home" ? low : high;
      this.point(x, box.left + this.x(x), box.top + box.height / 2);
    } else if (event.key === "+" || event.key === "-") {
      const half = ((high - low) / 2) * (event.key === "+" ? 0.5 : 2);
      const middle = this.state.cursor ?? (low + high) / 2;
      this.share({ zoom: event.key === "-" && half * 2 >= this.full ? null : [Math.max(0, middle - half), middle + half] });
    } else if (event.key === "Escape") {
      this.share({ zoom: null, cursor: null });
      tip.hide();
    } else return;
    event.preventDefault();
  }

  // The end of the axis without zoom.
  get full() {
    return Math.max(...this.series.map((series) => series.x.at(-1)));
  }
}
