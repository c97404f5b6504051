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
  // Each seed has its own pace.
  time: { title: "Training time", at: secondsAt, text: duration, isOfSeed: true },
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

// The values of a seed at ascending places, linear between its points; null before the first and, unless it keeps its last value, after it.
function valuesOf({ curve, line, places }, keepsLast) {
  const last = places.length - 1;
  let next = 0;
  return (place) => {
    while (places[next] < place) next += 1;
    if (places[0] > place || (next > last && !keepsLast)) return null;
    const right = Math.min(next, last);
    const left = places[right] > place ? right - 1 : right;
    const share = left === right ? 1 : (place - places[left]) / (places[right] - places[left]);
    const at = (values) => (1 - share) * values[left] + share * values[right];
    return { y: at(line), lo: at(curve.lo || curve.y), hi: at(curve.hi || curve.y) };
  };
}

// A value limited to the range of its measure: no accuracy is below 0 or above 100 %, with any deviation.
const within = (range, value) => Math.min(range?.[1] ?? Infinity, Math.max(range?.[0] ?? -Infinity, value));

// The series of one row: [{ row, name, x, y, low, high }], x ascending; several only if each run has its own line.
function seriesOf(row, key, range, state) {
  const axis = AXES[state.axis];
  const runs = row.runs.map((index) => data.runs[index]).filter((run) => key in run.curves);
  const seeds = runs.map((run) => {
    const curve = data.curves[run.curves[key]];
    return { run, curve, line: smoothed(curve.y, state.smoothing), places: curve.step.map((step) => axis.at(run, step)) };
  }).filter(({ places }) => Number.isFinite(places[0])); // A run without times has no place on their axis.
  if (state.show === "runs") {
    return seeds.map(({ run, line, places }) => ({ row, name: `${rowLabel(row)} · seed ${run.seed}`, x: places, y: line, low: [], high: [] }));
  }
  if (!seeds.length) return [];
  const values = seeds.map((seed) => valuesOf(seed, axis.isOfSeed && seed.run.status === "done"));
  const series = { row, name: rowLabel(row), x: placesOf(seeds, axis), y: [], low: [], high: [] };
  for (const place of series.x) {
    const here = values.map((at) => at(place)).filter((point) => point !== null);
    const n = here.length;
    const mean = here.reduce((sum, point) => sum + point.y, 0) / n;
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
  return [series];
}

// Where the mean has points: at every place of any seed. If seeds logged at different steps counted only at their own, it would jump
// between them. By time, where each seed begins and ends elsewhere, the mean begins where all have begun, and a seed that is done keeps
// its last value; else the line would end at the slowest seed's.
function placesOf(seeds, axis) {
  const begin = axis.isOfSeed ? Math.max(...seeds.map(({ places }) => places[0])) : -Infinity;
  const places = new Set(seeds.flatMap((seed) => seed.places));
  return [...places].filter((place) => place >= begin).sort((a, b) => a - b);
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
