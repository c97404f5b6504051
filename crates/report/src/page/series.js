// Curves from the data, and the series drawn of them: smoothed, averaged over seeds, by step, epoch or time.

for (const curve of data.curves) {
  let step = 0;
  curve.step = curve.x.map((difference) => (step += difference));
}

// Seconds at a step, interpolated linearly between the points of the run's clock.
function secondsAt(run, step) {
  const [steps, seconds] = run.clock;
  if (!steps.length) return NaN;
  if (step <= steps[0]) return steps[0] ? (seconds[0] * step) / steps[0] : seconds[0];
  let low = 0;
  let high = steps.length - 1;
  if (step >= steps[high]) return seconds[high];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (steps[middle] <= step) low = middle;
    else high = middle;
  }
  return seconds[low] + ((seconds[high] - seconds[low]) * (step - steps[low])) / (steps[high] - steps[low]);
}

const AXES = {
  step: { title: "Step", at: (run, step) => step, text: (value) => `step ${Math.round(value)}` },
  epoch: { title: "Epoch", at: (run, step) => (run.steps_per_epoch ? step / run.steps_per_epoch : NaN), text: (value) => `epoch ${value.toFixed(2)}` },
  time: { title: "Training time", at: secondsAt, text: duration },
};

// TensorBoard's exponential moving average: debiased, so that the first value counts no more than others.
function smoothed(values, weight) {
  if (!weight) return values;
  let sum = 0;
  let mass = 0;
  return values.map((value) => {
    sum = weight * sum + (1 - weight) * value;
    mass = weight * mass + (1 - weight);
    return sum / mass;
  });
}

// The values of a curve at ascending steps, linear between its points; null before the first and after the last.
function valuesOf(curve, line) {
  let next = 0;
  return (step) => {
    while (curve.step[next] < step) next += 1;
    if (next === curve.step.length || curve.step[0] > step) return null;
    const last = curve.step[next] === step ? next : next - 1;
    const share = last === next ? 1 : (step - curve.step[last]) / (curve.step[next] - curve.step[last]);
    const at = (values) => (1 - share) * values[last] + share * values[next];
    return { y: at(line), lo: at(curve.lo || curve.y), hi: at(curve.hi || curve.y) };
  };
}

// A value limited to the range of its measure: no accuracy is below 0 or above 100 %, with any deviation.
const within = (range, value) => Math.min(range?.[1] ?? Infinity, Math.max(range?.[0] ?? -Infinity, value));

// The series of one row: [{ row, name, x, y, low, high }]; several only if each run has its own line.
function seriesOf(row, key, range, state) {
  const axis = AXES[state.axis];
  const runs = row.runs.map((index) => data.runs[index]).filter((run) => key in run.curves);
  const curves = runs.map((run) => data.curves[run.curves[key]]);
  const lines = curves.map((curve) => smoothed(curve.y, state.smoothing));
  if (state.show === "runs") {
    return runs.map((run, i) => withoutHoles({
      row, name: `${rowLabel(row)} · seed ${run.seed}`,
      x: curves[i].step.map((step) => axis.at(run, step)), y: lines[i], low: [], high: [],
    }));
  }
  // At every step of any seed: if seeds logged at different steps counted only at their own, the mean would jump between them.
  const steps = [...new Set(curves.flatMap((curve) => curve.step))].sort((a, b) => a - b);
  const seeds = curves.map((curve, i) => ({ run: runs[i], at: valuesOf(curve, lines[i]) }));
  const series = { row, name: rowLabel(row), x: [], y: [], low: [], high: [] };
  for (const step of steps) {
    const here = seeds.map(({ run, at }) => ({ run, ...at(step) })).filter((point) => "y" in point);
    const n = here.length;
    const mean = here.reduce((sum, point) => sum + point.y, 0) / n;
    series.x.push(here.reduce((sum, point) => sum + axis.at(point.run, step), 0) / n);
    series.y.push(mean);
    if (state.show === "range") {
      series.low.push(Math.min(...here.map((point) => point.lo)));
      series.high.push(Math.max(...here.map((point) => point.hi)));
    } else {
      const deviation = n > 1 ? Math.sqrt(here.reduce((sum, point) => sum + (point.y - mean) ** 2, 0) / (n - 1)) : 0;
      series.low.push(within(range, mean - deviation));
      series.high.push(within(range, mean + deviation));
    }
  }
  return series.x.length ? [withoutHoles(series)] : [];
}

// Without the points that have no place on the axis, such as those of a run without times.
function withoutHoles(series) {
  if (series.x.every(Number.isFinite)) return series;
  const keep = (values) => values.filter((_, index) => Number.isFinite(series.x[index]));
  return { ...series, x: keep(series.x), y: keep(series.y), low: keep(series.low), high: keep(series.high) };
}

// Index of the value nearest to x in ascending values.
function nearest(values, x) {
  let low = 0;
  let high = values.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (values[middle] <= x) low = middle;
    else high = middle;
  }
  return Math.abs(values[low] - x) <= Math.abs(values[high] - x) ? low : high;
}
