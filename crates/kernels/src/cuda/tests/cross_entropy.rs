//! Cross-entropy.

use candle_core::{Device, Result, Tensor, Var};

use crate::cuda::call::Pointer;
use crate::cuda::cross_entropy::{Batch, Rows};
use crate::cuda::source::ElementType;
use crate::cuda::tests::memory::{Memory, all, assert_close, gradient, numbers, tensor, wide};

#[test]
fn cross_entropy_is_that_of_the_cpu() -> Result<()> {
    // Also far from zero, as in the test of the CPU's kernels, where sums that do not shift by the largest overflow.
    for (rows, classes, smoothing, offset) in
        [(5, 10, 0.1, 0.0), (3, 300, 0.0, 0.0), (1, 1, 1.0, 0.0), (5, 10, 0.1, 300.0), (3, 300, 0.0, 300.0)]
    {
        let len = rows * classes;
        let logits: Vec<f64> = numbers(len, 1).iter().map(|v| v * 16.0 + offset).collect();
        let targets: Vec<f64> = numbers(len, 2).iter().map(|v| v.abs()).collect();
        let indices: Vec<u32> = (0..rows as u32).map(|row| row * 7 % classes as u32).collect();
        for stored in [ElementType::F32, ElementType::F64, ElementType::Bf16] {
            // As rounded: bf16 has only even numbers near 300.
            let rounded = Memory::of(stored, &logits).values();
            let var = Var::from_tensor(&tensor(&rounded, &[rows, classes])?)?;
            let soft = crate::cross_entropy(&var, &tensor(&targets, &[rows, classes])?, smoothing)?;
            let hard = Tensor::new(&indices[..], &Device::Cpu)?;
            let hard = crate::cross_entropy_indices(&var, &hard, smoothing)?;
            for (expected, is_soft) in [(&soft, true), (&hard, false)] {
                let (mut logits, mut targets) = (Memory::of(stored, &logits), Memory::of(wide(stored), &targets));
                let mut indices = indices.clone();
                let batch = Batch {
                    element: stored,
                    rows,
                    classes,
                    smoothing,
                    logits: logits.at(),
                    targets: if is_soft { targets.at() } else { Pointer::NULL },
                    indices: if is_soft { Pointer::NULL } else { Pointer(indices.as_mut_ptr() as u64) },
                };
                let mut losses = Memory::new(ElementType::F64, rows);
                let [mut maxima, mut sums, mut weights] = [(); 3].map(|()| Memory::new(wide(stored), rows));
                let left = Rows { maxima: maxima.at(), sums: sums.at(), weights: weights.at() };
                let (mut loss, mut upstream) = (Memory::new(wide(stored), 1), Memory::of(wide(stored), &[0.5]));
                let mut d_logits = Memory::new(stored, len);
                let mut gates = Memory::of(ElementType::F64, &[0.0]);
                let forward = batch.forward(losses.at(), &left, gates.at(), loss.at());
                let backward = batch.backward(&left, upstream.at(), d_logits.at());
                if !all(&[&[forward, backward]]) {
                    return Ok(());
                }
                assert_close("loss", wide(stored), &loss.values(), expected)?;
                let expected = gradient(&var, &(expected * 0.5)?)?;
                assert_close("d_logits", stored, &d_logits.values(), &expected)?;
            }
        }
    }
    Ok(())
}

/// The loss and the gradient of f32 logits (N, K) against class numbers; `None` without a C++ compiler.
fn of_classes(logits: &[f64], classes: usize, mut indices: Vec<u32>) -> Option<(f64, Vec<f64>)> {
    let (rows, element) = (indices.len(), ElementType::F32);
    let mut logits = Memory::of(element, logits);
    let batch = Batch {
        element,
        rows,
        classes,
        smoothing: 0.0,
        logits: logits.at(),
        targets: Pointer::NULL,
        indices: Pointer(indices.as_mut_ptr() as u64),
    };
    let mut losses = Memory::new(ElementType::F64, rows);
    let [mut maxima, mut sums, mut weights] = [(); 3].map(|()| Memory::new(element, rows));
    let left = Rows { maxima: maxima.at(), sums: sums.at(), weights: weights.at() };
    let (mut loss, mut upstream) = (Memory::new(element, 1), Memory::of(element, &[1.0]));
    let mut d_logits = Memory::new(element, rows * classes);
    let mut gates = Memory::of(ElementType::F64, &[0.0]);
    let forward = batch.forward(losses.at(), &left, gates.at(), loss.at());
    let backward = batch.backward(&left, upstream.at(), d_logits.at());
    all(&[&[forward, backward]]).then(|| (loss.values()[0], d_logits.values()))
}

#[test]
fn a_class_number_that_is_none_gives_nan_to_the_loss_and_its_row() {
    let Some((loss, gradient)) = of_classes(&[1.0, 2.0, 3.0, 3.0], 2, vec![2, 0]) else { return };
    assert!(loss.is_nan() && gradient[..2].iter().all(|value| value.is_nan()), "{gradient:?}");
    assert_eq!(gradient[2..], [-0.25, 0.25]);
}

#[test]
fn logits_of_a_million_lose_nothing() {
    let Some((loss, gradient)) = of_classes(&[1e6, 1e6], 2, vec![0]) else { return };
    assert!((loss - std::f64::consts::LN_2).abs() < 1e-7, "{loss}");
    assert_eq!(gradient, [-0.5, 0.5]);
}
