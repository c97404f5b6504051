//! The layer literally as its formulas, in double precision.

use rayon::prelude::*;

use crate::cpu::element::Element;
use crate::cpu::lstm::{Extents, Gradients, Passed, Window, Written};
use crate::cpu::simd::Shared;

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn dot<T: Element>(weight: &[T], x: impl Iterator<Item = f64>) -> f64 {
    weight.iter().zip(x).map(|(w, x)| w.to_f64() * x).sum()
}

/// Outputs, cells and gates of all steps.
pub(crate) fn forward<T: Element>(window: &Window<'_, T>, written: Written<'_, T>) {
    window.check();
    written.check(window.extents);
    let Extents { steps, batch, inputs, hidden: width } = window.extents;
    let Written { gates, cells, y } = written;
    let (gates, cells, y) = (Shared::output(gates), Shared::output(cells), Shared::output(y));
    (0..batch).into_par_iter().for_each(|row| {
        let start = row * width..(row + 1) * width;
        let mut h: Vec<f64> = window.hidden[start.clone()].iter().map(|value| value.to_f64()).collect();
        let mut c: Vec<f64> = window.cell[start].iter().map(|value| value.to_f64()).collect();
        for step in 0..steps {
            let at = (step * batch + row) * width;
            let x = &window.x[(step * batch + row) * inputs..][..inputs];
            let before = h.clone();
            for unit in 0..width {
                let mut values = [0.0; 4];
                for (gate, value) in values.iter_mut().enumerate() {
                    let index = gate * width + unit;
                    let bias = window.bias.map_or(0.0, |bias| bias[index].to_f64());
                    let of_x = dot(&window.weight_ih[index * inputs..][..inputs], x.iter().map(|x| x.to_f64()));
                    let of_h = dot(&window.weight_hh[index * width..][..width], before.iter().copied());
                    let sum = bias + of_x + of_h;
                    *value = if gate == 2 { sum.tanh() } else { logistic(sum) };
                }
                let [i, f, g, o] = values;
                c[unit] = f * c[unit] + i * g;
                h[unit] = o * c[unit].tanh();
                // SAFETY: within the lengths asserted above; only this task has sequence `row`.
                unsafe {
                    for (gate, value) in values.into_iter().enumerate() {
                        *gates.at(4 * at + gate * width + unit) = T::from_f64(value);
                    }
                    *cells.at(at + unit) = T::from_f64(c[unit]);
                    *y.at(at + unit) = T::from_f64(h[unit]);
                }
            }
        }
    });
}

/// The gradients of the sums, of the state before the first step, and of the inputs.
pub(crate) fn backward<T: Element>(window: &Window<'_, T>, passed: &Passed<'_, T>, gradients: Gradients<'_, T>) {
    window.check();
    passed.check(window.extents);
    gradients.check(window.extents);
    let Extents { steps, batch, inputs, hidden: width } = window.extents;
    let state = window.extents.state_len();
    let to_gates = Shared::output(gradients.gates);
    let (to_hidden, to_cell) = (Shared::output(gradients.hidden), Shared::output(gradients.cell));
    let to_x = gradients.x.map(Shared::output);
    (0..batch).into_par_iter().for_each(|row| {
        // What comes back from the step behind: of the output, and of the cell.
        let mut dh = vec![0.0; width];
        let mut dc: Vec<f64> = passed.d_cell[row * width..][..width].iter().map(|value| value.to_f64()).collect();
        for step in (0..steps).rev() {
            let at = (step * batch + row) * width;
            let mut sums = vec![0.0; 4 * width];
            for unit in 0..width {
                let [i, f, g, o] = [0, 1, 2, 3].map(|gate| passed.gates[4 * at + gate * width + unit].to_f64());
                let before = match step {
                    0 => window.cell[row * width + unit],
                    _ => passed.cells[at - state + unit],
                };
                let tanh = passed.cells[at + unit].to_f64().tanh();
                let dh = dh[unit] + passed.dy[at + unit].to_f64();
                let d = dc[unit] + dh * o * (1.0 - tanh * tanh);
                sums[unit] = d * g * i * (1.0 - i);
                sums[width + unit] = d * before.to_f64() * f * (1.0 - f);
                sums[2 * width + unit] = d * i * (1.0 - g * g);
                sums[3 * width + unit] = dh * tanh * o * (1.0 - o);
                dc[unit] = d * f;
            }
            dh.fill(0.0);
            add_rows(&sums, window.weight_hh, &mut dh);
            if let Some(to_x) = to_x {
                let mut dx = vec![0.0; inputs];
                add_rows(&sums, window.weight_ih, &mut dx);
                for (index, dx) in dx.into_iter().enumerate() {
                    // SAFETY: within the lengths asserted above; only this task has sequence `row`.
                    unsafe { *to_x.at((step * batch + row) * inputs + index) = T::from_f64(dx) };
                }
            }
            for (index, sum) in sums.into_iter().enumerate() {
                // SAFETY: as above.
                unsafe { *to_gates.at(4 * at + index) = T::from_f64(sum) };
            }
        }
        for unit in 0..width {
            // SAFETY: as above.
            unsafe {
                *to_hidden.at(row * width + unit) = T::from_f64(dh[unit]);
                *to_cell.at(row * width + unit) = T::from_f64(dc[unit]);
            }
        }
    });
}

/// Adds every row of `weight` to `to`, times its factor.
fn add_rows<T: Element>(factors: &[f64], weight: &[T], to: &mut [f64]) {
    for (factor, row) in factors.iter().zip(weight.chunks_exact(to.len().max(1))) {
        to.iter_mut().zip(row).for_each(|(to, w)| *to += factor * w.to_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::lstm::Extents;
    use crate::cpu::memory::as_output;

    #[test]
    fn a_step_worked_by_hand() {
        // All sums are 0 (the input 3 times 2, and a bias of -6), the cell before is 2: i = f = o = 1/2, g = 0, c = 1, h = tanh(1) / 2.
        let extents = Extents { steps: 1, batch: 1, inputs: 1, hidden: 1 };
        let window = Window {
            extents,
            x: &[3.0],
            weight_ih: &[2.0; 4],
            weight_hh: &[0.0, 0.0, 0.0, 4.0],
            bias: Some(&[-6.0; 4]),
            hidden: &[0.0],
            cell: &[2.0],
        };
        let (mut gates, mut cells, mut y) = ([f64::NAN; 4], [f64::NAN; 1], [f64::NAN; 1]);
        let (to_gates, to_cells) = (as_output(&mut gates), as_output(&mut cells));
        forward(&window, Written { gates: to_gates, cells: to_cells, y: as_output(&mut y) });
        let tanh = 1f64.tanh();
        assert_eq!((gates, cells, y), ([0.5, 0.5, 0.0, 0.5], [1.0], [tanh / 2.0]));
        // dh = 1: do = tanh(1) / 4, dc = (1 - tanh(1)^2) / 2, of which half goes to g, half on to the cell before, and to f with 2 / 4.
        let (mut d_gates, mut dh, mut dc, mut dx) = ([f64::NAN; 4], [f64::NAN], [f64::NAN], [f64::NAN]);
        let passed = Passed { gates: &gates, cells: &cells, dy: &[1.0], d_cell: &[0.0] };
        let to = Gradients {
            gates: as_output(&mut d_gates),
            hidden: as_output(&mut dh),
            cell: as_output(&mut dc),
            x: Some(as_output(&mut dx)),
        };
        backward(&window, &passed, to);
        let d = (1.0 - tanh * tanh) / 2.0;
        assert_eq!(d_gates, [0.0, d / 2.0, d / 2.0, tanh / 4.0]);
        assert_eq!((dh, dc), ([tanh], [d / 2.0]));
        assert_eq!(dx, [2.0 * (d / 2.0) + 2.0 * (d / 2.0) + 2.0 * (tanh / 4.0)]);
    }
}
