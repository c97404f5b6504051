//! Cross-entropy as a graph node. It keeps the results of each row, so that the backward pass is one pass over the logits.

use std::marker::PhantomData;

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor, WithDType};

use crate::cpu::choose::Kernels;
use crate::cpu::cross_entropy::{Row, Targets};
use crate::cpu::graph::kept::Kept;
use crate::cpu::memory::Place;
use crate::cpu::run;
use crate::cpu::tensors::{elements, indices, tensor, with_elements};

pub(crate) fn cross_entropy<T: Kernels>(logits: &Tensor, targets: &Tensor, smoothing: f64) -> Result<Tensor> {
    let weights = targets.detach().to_dtype(T::Accumulator::DTYPE)?;
    apply::<T>(logits, Held::Weights(weights), smoothing)
}

pub(crate) fn cross_entropy_indices<T: Kernels>(
    logits: &Tensor,
    classes: &Tensor,
    smoothing: f64,
) -> crate::Result<Tensor> {
    let (_, count) = logits.dims2()?;
    let numbers = indices("cross_entropy_indices", "targets", classes, count, "below the number of classes")?;
    Ok(apply::<T>(logits, Held::Classes(numbers), smoothing)?)
}

fn apply<T: Kernels>(logits: &Tensor, held: Held, smoothing: f64) -> Result<Tensor> {
    logits.apply_op1(CrossEntropy::<T> { held, smoothing, rows: Kept::default(), element: PhantomData })
}

/// The targets, which are constants: one class of each row, or weights of all.
enum Held {
    Classes(Vec<u32>),
    Weights(Tensor),
}

struct CrossEntropy<T> {
    held: Held,
    smoothing: f64,
    rows: Kept<Vec<Row>>,
    element: PhantomData<fn() -> T>,
}

impl<T: Kernels> CrossEntropy<T> {
    fn with_targets<R>(&self, f: impl FnOnce(Targets<'_, T::Accumulator>) -> Result<R>) -> Result<R> {
        match &self.held {
            Held::Classes(numbers) => f(Targets::Classes(numbers)),
            Held::Weights(weights) => with_elements::<T::Accumulator, _>(weights, |w| f(Targets::Weights(w))),
        }
    }
}

impl<T: Kernels> CustomOp1 for CrossEntropy<T> {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (count, classes) = layout.shape().dims2()?;
        let logits = elements::<T>(logits, layout)?;
        let mut rows = vec![Row::EMPTY; count];
        self.with_targets(|targets| {
            T::cross_entropy(logits, targets, classes, self.smoothing, &mut rows);
            Ok(())
        })?;
        let loss = T::Accumulator::from_f64(Row::mean_loss(&rows));
        self.rows.set(rows);
        Ok((T::Accumulator::to_cpu_storage_owned(vec![loss]), Shape::from(())))
    }

    fn bwd(&self, logits: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let (count, classes) = logits.dims2()?;
        let Some(rows) = self.rows.get() else { candle_core::bail!("cross_entropy: backward without forward") };
        let upstream = gradient.to_dtype(DType::F64)?.to_scalar::<f64>()? / count as f64;
        let d_logits = with_elements::<T, _>(logits, |logits| {
            self.with_targets(|targets| {
                Ok(run::cross_entropy_backward(
                    logits,
                    targets,
                    classes,
                    self.smoothing,
                    upstream,
                    &rows,
                    Place::Tensor,
                ))
            })
        })?;
        Ok(Some(tensor(d_logits.into_vec(), logits.shape())))
    }
}
