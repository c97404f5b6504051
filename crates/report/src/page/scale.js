// Axes: mapping from values to pixels, round ticks, and the formatting of numbers.

const MINUS = "\u2212";

function fixed(value, digits) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  return value.toFixed(digits).replace("-", MINUS);
}

// With its sign, for differences; without, if it rounds to zero.
function signed(value, digits) {
  if (!Number.isFinite(value)) return fixed(value, digits);
  if (Number(value.toFixed(digits)) === 0) return fixed(Math.abs(value), digits);
  return (value > 0 ? "+" : "") + fixed(value, digits);
}

// Four significant digits at any magnitude.
function short(value) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e6)) return value.toExponential(2).replace("-", MINUS);
  return String(Number(value.toPrecision(4))).replace("-", MINUS);
}

function duration(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  if (seconds < 90) return `${Number(seconds.toPrecision(3))} s`;
  if (seconds < 600) return `${Math.floor(Math.round(seconds) / 60)} min ${String(Math.round(seconds) % 60).padStart(2, "0")} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

function tickText(value) {
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e6 || size < 1e-3)) return Number(value.toPrecision(4)).toExponential().replace("+", "").replaceAll("-", MINUS);
  if (size >= 1e4) return `${Number((value / 1000).toPrecision(4))}k`.replace("-", MINUS);
  return String(Number(value.toPrecision(4))).replace("-", MINUS);
}

function linearScale(low, high, from, to) {
  if (!(high > low)) [low, high] = low === 0 ? [-1, 1] : [low - Math.abs(low) / 2, low + Math.abs(low) / 2];
  const at = (value) => from + ((value - low) / (high - low)) * (to - from);
  at.low = low;
  at.high = high;
  at.invert = (pixel) => low + ((pixel - from) / (to - from)) * (high - low);
  at.ticks = (count) => {
    const rough = (high - low) / count;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find((factor) => rough <= factor * power * (1 + 1e-9));
    const ticks = [];
    for (let index = Math.ceil(low / step - 1e-9); index * step <= high + step * 1e-9; index += 1) ticks.push(index * step);
    return ticks;
  };
  return at;
}

function logScale(low, high, from, to) {
  if (!(high > low)) [low, high] = [low / 2, low * 2];
  const [first, last] = [Math.log10(low), Math.log10(high)];
  const at = (value) => from + ((Math.log10(Math.max(value, low)) - first) / (last - first)) * (to - from);
  at.low = low;
  at.high = high;
  at.ticks = (count) => {
    const of = (factors) => {
      const ticks = [];
      for (let power = Math.floor(first); power <= Math.ceil(last); power += 1) {
        for (const factor of factors) ticks.push(factor * 10 ** power);
      }
      return ticks.filter((tick) => tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9));
    };
    const whole = of([1]);
    const every = Math.ceil(whole.length / 6);
    if (whole.length >= 3) return whole.filter((_, index) => index % every === 0);
    const fine = of([1, 2, 5]);
    return fine.length >= 3 ? fine : linearScale(low, high, from, to).ticks(count);
  };
  return at;
}
