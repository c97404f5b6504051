//! Rows of a table by index, and the table's gradient.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use crate::cpu::element::Element;

/// Elements per task.
const TASK_ELEMENTS: usize = 1 << 14;

/// The rows with indices `ids`, in order.
pub(crate) fn rows<T: Element>(table: &[T], width: usize, ids: &[u32], rows: &mut [MaybeUninit<T>]) {
    assert!(rows.len() == ids.len() * width, "lengths");
    if width == 0 {
        return;
    }
    let task = (TASK_ELEMENTS / width).max(1);
    rows.par_chunks_mut(task * width).zip(ids.par_chunks(task)).for_each(|(rows, ids)| {
        for (row, &id) in rows.chunks_exact_mut(width).zip(ids) {
            row.write_copy_of_slice(&table[id as usize * width..][..width]);
        }
    });
}

/// The gradient of a table (`count`, `width`): each row of `dy` is added to the row of its id, in the order of the ids.
pub(crate) fn gradient<T: Element>(dy: &[T], (count, width): (usize, usize), ids: &[u32]) -> Vec<T> {
    let mut table = vec![T::zero(); count * width];
    if width == 0 {
        return table;
    }
    // Each task handles a range of the table and searches the ids for it.
    let stretch = count.div_ceil((ids.len() * width / TASK_ELEMENTS).clamp(1, 64)).max(1);
    table.par_chunks_mut(stretch * width).enumerate().for_each(|(index, rows)| {
        let first = index * stretch;
        let own = first..first + rows.len() / width;
        for (dy, &id) in dy.chunks_exact(width).zip(ids).filter(|(_, id)| own.contains(&(**id as usize))) {
            let row = &mut rows[(id as usize - first) * width..][..width];
            for (sum, dy) in row.iter_mut().zip(dy) {
                *sum += *dy;
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
        rows(&[1.0, 2.0, 3.0, 4.0], 2, &[1, 0, 1], as_output(&mut got));
        assert_eq!(got, [3.0, 4.0, 1.0, 2.0, 3.0, 4.0]);
        // Several tasks, the last one smaller.
        let mut got = vec![f64::NAN; 9000 * 5];
        let (table, ids): (Vec<f64>, Vec<u32>) =
            ((0..35).map(f64::from).collect(), (0..9000).map(|at| at % 7).collect());
        rows(&table, 5, &ids, as_output(&mut got));
        assert!(got.iter().enumerate().all(|(at, value)| *value == table[at % 35]));
        let table = gradient(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], (3, 2), &[1, 0, 1]);
        assert_eq!(table, [3.0, 4.0, 6.0, 8.0, 0.0, 0.0]);
        // Many stretches.
        let ids: Vec<u32> = (0..9000).map(|at| at % 70).collect();
        let table = gradient(&vec![1f32; 9000 * 5], (71, 5), &ids);
        assert_eq!((table[0], table[69 * 5], table[70 * 5]), (129.0, 128.0, 0.0));
    }
}
