//! The recurrence literally as its formulas, in double precision.

use rayon::prelude::*;

use crate::cpu::element::Element;
use crate::cpu::lstm::{Gradients, Passed, Recurrence, Written};
use crate::cpu::simd::Shared;

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Outputs, cells and gates of all steps.
pub(crate) fn forward<T: Element>(recurrence: &Recurrence<'_, T>, written: Written<'_, T>) {
    recurrence.check();
    let extents = recurrence.extents;
    let (steps, batch, width) = (extents.steps, extents.batch, extents.hidden);
    let Written { gates, cells, y } = written;
    assert!(gates.len() == 4 * extents.states_len() && cells.len() == extents.states_len(), "lengths");
    assert!(y.len() == extents.states_len(), "lengths");
    let (gates, cells, y) = (Shared::new(gates), Shared::output(cells), Shared::output(y));
    (0..batch).into_par_iter().for_each(|row| {
        let start = row * width..(row + 1) * width;
        let mut h: Vec<f64> = recurrence.hidden[start.clone()].iter().map(|value| value.to_f64()).collect();
        let mut c: Vec<f64> = recurrence.cell[start].iter().map(|value| value.to_f64()).collect();
        for step in 0..steps {
            let at = (step * batch + row) * width;
            let before = h.clone();
            for unit in 0..width {
                let mut values = [0.0; 4];
                for (gate, value) in values.iter_mut().enumerate() {
                    let filter = &recurrence.weight[(gate * width + unit) * width..][..width];
                    let product: f64 = filter.iter().zip(&before).map(|(w, h)| w.to_f64() * h).sum();
                    // SAFETY: within the lengths asserted above; only this task has sequence `row`.
                    let input = unsafe { *gates.at(4 * at + gate * width + unit) };
                    let sum = input.to_f64() + product;
                    *value = if gate == 2 { sum.tanh() } else { logistic(sum) };
                }
                let [i, f, g, o] = values;
                c[unit] = f * c[unit] + i * g;
                h[unit] = o * c[unit].tanh();
                // SAFETY: as above.
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

/// The gradients of the sums and of the state before the first step.
pub(crate) fn backward<T: Element>(
    recurrence: &Recurrence<'_, T>,
    passed: &Passed<'_, T>,
    gradients: Gradients<'_, T>,
) {
    recurrence.check();
    let extents = recurrence.extents;
    let (steps, batch, width) = (extents.steps, extents.batch, extents.hidden);
    let (states, state) = (extents.states_len(), extents.state_len());
    assert!(passed.gates.len() == 4 * states && passed.cells.len() == states, "lengths");
    assert!(passed.dy.len() == states && gradients.gates.len() == 4 * states, "lengths");
    assert!(passed.d_cell.is_none_or(|d_cell| d_cell.len() == state), "lengths");
    assert!(gradients.hidden.len() == state && gradients.cell.len() == state, "lengths");
    let to_gates = Shared::output(gradients.gates);
    let (to_hidden, to_cell) = (Shared::output(gradients.hidden), Shared::output(gradients.cell));
    (0..batch).into_par_iter().for_each(|row| {
        // What comes back from the step behind: of the output, and of the cell.
        let mut dh = vec![0.0; width];
        let mut dc = vec![0.0; width];
        if let Some(d_cell) = passed.d_cell {
            dc.iter_mut().zip(&d_cell[row * width..]).for_each(|(dc, value)| *dc = value.to_f64());
        }
        for step in (0..steps).rev() {
            let at = (step * batch + row) * width;
            let mut sums = vec![0.0; 4 * width];
            for unit in 0..width {
                let [i, f, g, o] = [0, 1, 2, 3].map(|gate| passed.gates[4 * at + gate * width + unit].to_f64());
                let before = match step {
                    0 => recurrence.cell[row * width + unit],
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
            for (sum, filter) in sums.iter().zip(recurrence.weight.chunks_exact(width)) {
                dh.iter_mut().zip(filter).for_each(|(dh, w)| *dh += sum * w.to_f64());
            }
            for (index, sum) in sums.into_iter().enumerate() {
                // SAFETY: within the lengths asserted above; only this task has sequence `row`.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::lstm::Extents;
    use crate::cpu::memory::as_output;

    #[test]
    fn a_step_worked_by_hand() {
        // All sums are 0, the cell before is 2: i = f = o = 1/2, g = 0, c = 1, h = tanh(1) / 2.
        let extents = Extents { steps: 1, batch: 1, hidden: 1 };
        let recurrence = Recurrence { extents, weight: &[0.0, 0.0, 0.0, 4.0], hidden: &[0.0], cell: &[2.0] };
        let (mut gates, mut cells, mut y) = ([0.0; 4], [f64::NAN; 1], [f64::NAN; 1]);
        let written = Written { gates: &mut gates, cells: as_output(&mut cells), y: as_output(&mut y) };
        forward(&recurrence, written);
        let tanh = 1f64.tanh();
        assert_eq!((gates, cells, y), ([0.5, 0.5, 0.0, 0.5], [1.0], [tanh / 2.0]));
        // dh = 1: do = tanh(1) / 4, dc = (1 - tanh(1)^2) / 2, of which half goes to g, half on to the cell before, and to f with 2 / 4.
        let (mut d_gates, mut dh, mut dc) = ([f64::NAN; 4], [f64::NAN], [f64::NAN]);
        let passed = Passed { gates: &gates, cells: &cells, dy: &[1.0], d_cell: None };
        let to = Gradients { gates: as_output(&mut d_gates), hidden: as_output(&mut dh), cell: as_output(&mut dc) };
        backward(&recurrence, &passed, to);
        let d = (1.0 - tanh * tanh) / 2.0;
        assert_eq!(d_gates, [0.0, d / 2.0, d / 2.0, tanh / 4.0]);
        assert_eq!((dh, dc), ([tanh], [d / 2.0]));
    }
}
