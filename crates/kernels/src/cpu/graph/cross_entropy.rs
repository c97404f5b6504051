//! Cross-entropy, forward and gradient in one pass each.

use std::marker::PhantomData;

use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor, WithDType};

use crate::Error;
use crate::cpu::choose::Kernels;
use crate::cpu::tensors::{elements, tensor, with_elements};

pub(crate) fn cross_entropy<T: Kernels>(logits: &Tensor, targets: &Tensor, smoothing: f64) -> Result<Tensor> {
    let targets = targets.to_dtype(T::Accumulator::DTYPE)?;
    logits.apply_op2(&targets, CrossEntropy::<T> { smoothing, element: PhantomData })
}

pub(crate) fn cross_entropy_indices<T: Kernels>(
    logits: &Tensor,
    classes: &Tensor,
    smoothing: f64,
) -> crate::Result<Tensor> {
    let (rows, count) = logits.dims2()?;
    let indices = classes.to_vec1::<u32>()?;
    if let Some(&index) = indices.iter().find(|&&index| index as usize >= count) {
        let (op, argument, rule) = ("cross_entropy_indices", "targets", "below the number of classes");
        return Err(Error::Argument { op, argument, rule, value: format!("{index} of {count}") });
    }
    let mut distribution = vec![0f64; rows * count];
    for (row, &index) in indices.iter().enumerate() {
        distribution[row * count + index as usize] = 1.0;
    }
    let targets = Tensor::from_vec(distribution, (rows, count), logits.device())?;
    Ok(cross_entropy::<T>(logits, &targets, smoothing)?)
}

struct CrossEntropy<T> {
    smoothing: f64,
    element: PhantomData<fn() -> T>,
}

impl<T: Kernels> CrossEntropy<T> {
    /// The smoothed targets of one row.
    fn smoothed<'a>(&self, targets: &'a [T::Accumulator]) -> impl Iterator<Item = f64> + 'a {
        let spread = self.smoothing * targets.iter().map(|t| t.to_f64()).sum::<f64>() / targets.len() as f64;
        let kept = 1.0 - self.smoothing;
        targets.iter().map(move |t| kept * t.to_f64() + spread)
    }
}

/// The logarithm of the sum of exponentials, safe for any size of logits.
fn log_sum_exp<T: Kernels>(logits: &[T]) -> f64 {
    let largest = logits.iter().map(|l| l.to_f64()).fold(f64::NEG_INFINITY, f64::max);
    largest + logits.iter().map(|l| (l.to_f64() - largest).exp()).sum::<f64>().ln()
}

impl<T: Kernels> CustomOp2 for CrossEntropy<T> {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn cpu_fwd(
        &self,
        logits: &CpuStorage,
        logits_layout: &Layout,
        targets: &CpuStorage,
        targets_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (rows, classes) = logits_layout.shape().dims2()?;
        let logits = elements::<T>(logits, logits_layout)?;
        let targets = elements::<T::Accumulator>(targets, targets_layout)?;
        let mut sum = 0.0;
        for (logits, targets) in logits.chunks(classes).zip(targets.chunks(classes)) {
            let normaliser = log_sum_exp(logits);
            // A class without weight adds nothing, even where its logit is minus infinity.
            let terms = logits.iter().zip(self.smoothed(targets)).filter(|(_, target)| *target != 0.0);
            sum += terms.map(|(logit, target)| target * (normaliser - logit.to_f64())).sum::<f64>();
        }
        let loss = T::Accumulator::from_f64(sum / rows as f64);
        Ok((T::Accumulator::to_cpu_storage_owned(vec![loss]), Shape::from(())))
    }

    fn bwd(
        &self,
        logits: &Tensor,
        targets: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (rows, classes) = logits.dims2()?;
        let upstream = gradient.to_dtype(DType::F64)?.to_scalar::<f64>()? / rows as f64;
        let mut d_logits = Vec::with_capacity(rows * classes);
        with_elements::<T, _>(logits, |logits| {
            with_elements::<T::Accumulator, _>(targets, |targets| {
                for (logits, targets) in logits.chunks(classes).zip(targets.chunks(classes)) {
                    let normaliser = log_sum_exp(logits);
                    let weight: f64 = targets.iter().map(|t| t.to_f64()).sum();
                    d_logits.extend(logits.iter().zip(self.smoothed(targets)).map(|(logit, target)| {
                        let probability = (logit.to_f64() - normaliser).exp();
                        T::from_f64(upstream * (weight * probability - target))
                    }));
                }
                Ok(())
            })
        })?;
        Ok((Some(tensor(d_logits, (rows, classes))), None))
    }
}
