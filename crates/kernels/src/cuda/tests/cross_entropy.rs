//! Cross-entropy.

use candle_core::{Device, Result, Tensor, Var};

use crate::cuda::call::Pointer;
use crate::cuda::cross_entropy::{Batch, Rows};
use crate::cuda::source::ElementType;
use crate::cuda::tests::memory::{Memory, all, assert_close, gradient, numbers, tensor, wide};

#[test]
fn cross_entropy_is_that_of_the_cpu() -> Result<()> {
    for (rows, classes, smoothing) in [(5, 10, 0.1), (3, 300, 0.0), (1, 1, 1.0)] {
        let len = rows * classes;
        let logits: Vec<f64> = numbers(len, 1).iter().map(|v| v * 16.0).collect();
        let targets: Vec<f64> = numbers(len, 2).iter().map(|v| v.abs()).collect();
        let indices: Vec<u32> = (0..rows as u32).map(|row| row * 7 % classes as u32).collect();
        let var = Var::from_tensor(&tensor(&logits, &[rows, classes])?)?;
        let soft = crate::cross_entropy(&var, &tensor(&targets, &[rows, classes])?, smoothing)?;
        let hard = Tensor::new(&indices[..], &Device::Cpu)?;
        let hard = crate::cross_entropy_indices(&var, &hard, smoothing)?;
        for stored in [ElementType::F32, ElementType::F64, ElementType::Bf16] {
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
                let [mut normalisers, mut weights] = [(); 2].map(|()| Memory::new(wide(stored), rows));
                let left = Rows { normalisers: normalisers.at(), weights: weights.at() };
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

#[test]
fn a_class_number_that_is_none_gives_nan() {
    let (mut logits, mut indices) = (Memory::of(ElementType::F32, &[1.0, 2.0]), [2u32]);
    let batch = Batch {
        element: ElementType::F32,
        rows: 1,
        classes: 2,
        smoothing: 0.0,
        logits: logits.at(),
        targets: Pointer::NULL,
        indices: Pointer(indices.as_mut_ptr() as u64),
    };
    let mut losses = Memory::new(ElementType::F64, 1);
    let [mut normalisers, mut weights, mut loss] = [(); 3].map(|()| Memory::of(ElementType::F32, &[0.0]));
    let left = Rows { normalisers: normalisers.at(), weights: weights.at() };
    let mut gates = Memory::of(ElementType::F64, &[0.0]);
    if all(&[&[batch.forward(losses.at(), &left, gates.at(), loss.at())]]) {
        assert!(loss.values()[0].is_nan());
    }
}
