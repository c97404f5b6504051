//! Rows of a table by index, and the table's gradient.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use crate::cpu::element::Element;

/// Elements per task.
const TASK_ELEMENTS: usize = 1 << 14;

/// The rows with indices `ids`, in order, times a mask that is as long as they are, or as a few of them and repeats.
pub(crate) fn rows<T: Element>(
    table: &[T],
    width: usize,
    ids: &[u32],
    mask: Option<&[T]>,
    rows: &mut [MaybeUninit<T>],
) {
    assert!(rows.len() == ids.len() * width && fits(mask, rows.len(), width), "lengths");
    if width == 0 {
        return;
    }
    let task = (TASK_ELEMENTS / width).max(1);
    rows.par_chunks_mut(task * width).zip(ids.par_chunks(task)).enumerate().for_each(|(index, (rows, ids))| {
        for (at, (row, &id)) in rows.chunks_exact_mut(width).zip(ids).enumerate() {
            let from = &table[id as usize * width..][..width];
            match of_row(mask, index * task + at, width) {
                None => {
                    row.write_copy_of_slice(from);
                }
                Some(mask) => {
                    for (to, (value, mask)) in row.iter_mut().zip(from.iter().zip(mask)) {
                        to.write(*value * *mask);
                    }
                }
            }
        }
    });
}

fn fits<T>(mask: Option<&[T]>, len: usize, width: usize) -> bool {
    mask.is_none_or(|mask| width == 0 || mask.len().is_multiple_of(width) && (len == 0 || !mask.is_empty()))
}

/// The part of the mask for a row.
fn of_row<T>(mask: Option<&[T]>, row: usize, width: usize) -> Option<&[T]> {
    mask.map(|mask| &mask[row * width % mask.len()..][..width])
}

/// The gradient of a table (`count`, `width`): each row of `dy`, times the mask, is added to the row of its id, in the order of the ids.
pub(crate) fn gradient<T: Element>(
    dy: &[T],
    (count, width): (usize, usize),
    ids: &[u32],
    mask: Option<&[T]>,
) -> Vec<T> {
    assert!(dy.len() == ids.len() * width && fits(mask, dy.len(), width), "lengths");
    let mut table = vec![T::zero(); count * width];
    if width == 0 {
        return table;
    }
    // Each task handles a range of the table and searches the ids for it.
    let stretch = count.div_ceil((ids.len() * width / TASK_ELEMENTS).clamp(1, 64)).max(1);
    table.par_chunks_mut(stretch * width).enumerate().for_each(|(index, rows)| {
        let first = index * stretch;
        let own = first..first + rows.len() / width;
        for (at, &id) in ids.iter().enumerate().filter(|(_, id)| own.contains(&(**id as usize))) {
            let row = &mut rows[(id as usize - first) * width..][..width];
            let dy = &dy[at * width..][..width];
            match of_row(mask, at, width) {
                None => row.iter_mut().zip(dy).for_each(|(sum, dy)| *sum += *dy),
                Some(mask) => {
                    for (sum, (dy, mask)) in row.iter_mut().zip(dy.iter().zip(mask)) {
                        *sum += *dy * *mask;
                    }
                }
            }
        }
    });
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::memory::as_output;

    #[test]
    fn values_worked_by_hand() {
        let mut got = [f64::NAN; 6];
        rows(&[1.0, 2.0, 3.0, 4.0], 2, &[1, 0, 1], None, as_output(&mut got));
        assert_eq!(got, [3.0, 4.0, 1.0, 2.0, 3.0, 4.0]);
        rows(&[1.0, 2.0, 3.0, 4.0], 2, &[1, 0, 1], Some(&[0.0, 2.0]), as_output(&mut got));
        assert_eq!(got, [0.0, 8.0, 0.0, 4.0, 0.0, 8.0]);
        // Several tasks, the last one smaller.
        let mut got = vec![f64::NAN; 9000 * 5];
        let (table, ids): (Vec<f64>, Vec<u32>) =
            ((0..35).map(f64::from).collect(), (0..9000).map(|at| at % 7).collect());
        rows(&table, 5, &ids, None, as_output(&mut got));
        assert!(got.iter().enumerate().all(|(at, value)| *value == table[at % 35]));
        // A mask of 4,000 rows, so that it repeats within tasks.
        let mask: Vec<f64> = (0..4000 * 5).map(|at| f64::from(at % 3)).collect();
        rows(&table, 5, &ids, Some(&mask), as_output(&mut got));
        assert!(got.iter().enumerate().all(|(at, value)| *value == table[at % 35] * mask[at % (4000 * 5)]));
        let dy = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        assert_eq!(gradient(&dy, (3, 2), &[1, 0, 1], None), [3.0, 4.0, 6.0, 8.0, 0.0, 0.0]);
        let mask = [0.0, 1.0, 0.5, 0.0, 2.0, 0.0];
        assert_eq!(gradient(&dy, (3, 2), &[1, 0, 1], Some(&mask)), [1.5, 0.0, 10.0, 2.0, 0.0, 0.0]);
        // Many stretches.
        let ids: Vec<u32> = (0..9000).map(|at| at % 70).collect();
        let table = gradient(&vec![1f32; 9000 * 5], (71, 5), &ids, None);
        assert_eq!((table[0], table[69 * 5], table[70 * 5]), (129.0, 128.0, 0.0));
    }
}
