//! Weights from (O, I, Kh, Kw) to the orders that kernels read, and gradients back.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use crate::cpu::simd::Shared;

/// Output channels per task: their reads and writes fill whole cache lines.
const BLOCK: usize = 16;

/// (O, I, taps) to (taps, I, O): the output channel innermost.
pub(crate) fn tap_input_output(weight: &[f32], outputs: usize, inputs: usize, taps: usize, packed: &mut [f32]) {
    assert!(weight.len() == outputs * inputs * taps && packed.len() == weight.len());
    let target = Shared::new(packed);
    (0..outputs.div_ceil(BLOCK)).into_par_iter().for_each(|block| {
        let block = block * BLOCK..outputs.min((block + 1) * BLOCK);
        for i in 0..inputs {
            for tap in 0..taps {
                for o in block.clone() {
                    let value = weight[(o * inputs + i) * taps + tap];
                    // SAFETY: in bounds by the lengths asserted above; only this task has output channel `o`.
                    unsafe { *target.at((tap * inputs + i) * outputs + o) = value };
                }
            }
        }
    });
}

/// (O, I, taps) to (taps, O, I), the taps in reverse if `flip`: the input channel innermost.
pub(crate) fn tap_output_input(
    weight: &[f32],
    outputs: usize,
    inputs: usize,
    taps: usize,
    flip: bool,
    packed: &mut [f32],
) {
    assert!(weight.len() == outputs * inputs * taps && packed.len() == weight.len());
    let target = Shared::new(packed);
    (0..outputs).into_par_iter().with_min_len(4).for_each(|o| {
        let filters = &weight[o * inputs * taps..][..inputs * taps];
        for tap in 0..taps {
            let to = if flip { taps - 1 - tap } else { tap };
            for i in 0..inputs {
                // SAFETY: in bounds by the lengths asserted above; only this task has output channel `o`.
                unsafe { *target.at((to * outputs + o) * inputs + i) = filters[i * taps + tap] };
            }
        }
    });
}

/// (taps, I, `step`), of which the first O columns are used, back to (O, I, taps).
pub(crate) fn output_input_tap(
    packed: &[f32],
    step: usize,
    outputs: usize,
    inputs: usize,
    taps: usize,
    weight: &mut [MaybeUninit<f32>],
) {
    assert!(weight.len() == outputs * inputs * taps && packed.len() == taps * inputs * step && outputs <= step);
    let target = Shared::output(weight);
    (0..outputs.div_ceil(BLOCK)).into_par_iter().for_each(|block| {
        let block = block * BLOCK..outputs.min((block + 1) * BLOCK);
        for i in 0..inputs {
            for tap in 0..taps {
                for o in block.clone() {
                    let value = packed[(tap * inputs + i) * step + o];
                    // SAFETY: in bounds by the lengths asserted above; only this task has output channel `o`.
                    unsafe { target.at((o * inputs + i) * taps + tap).write(value) };
                }
            }
        }
    });
}

/// Rows of `columns` elements to panels of `panel` columns: (panels, rows, panel). The last panel has `last` columns and is
/// padded with zeros.
pub(crate) fn panels(rows: &[f32], columns: usize, panel: usize, last: usize, packed: &mut [f32]) {
    let count = rows.len() / columns;
    assert!(packed.len() == count * ((columns - 1) / panel * panel + last), "panels");
    packed.par_chunks_mut(count * panel).enumerate().for_each(|(index, packed)| {
        let width = packed.len() / count;
        let taken = width.min(columns - index * panel);
        for (row, to) in rows.chunks_exact(columns).zip(packed.chunks_exact_mut(width)) {
            to[..taken].copy_from_slice(&row[index * panel..][..taken]);
            to[taken..].fill(0.0);
        }
    });
}
