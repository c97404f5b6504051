//! Cross-entropy of logits against soft targets or class indices, forward and gradient in one pass each.

use std::marker::PhantomData;

use candle_core::{CpuStorage, CustomOp2, DType, Layout, Shape, Tensor, WithDType};
use half::bf16;

use crate::element::{Element, elements, tensor, with_elements};
use crate::error::{require_device, require_dtype, require_float, wrong_shape};
use crate::{Error, Result};

/// Mean cross-entropy of `logits` against a distribution over the classes for every row.
///
/// With `t' = (1 - label_smoothing) * t + label_smoothing * sum(t) / K`, which for rows that sum to 1 is PyTorch's rule:
/// `loss = mean over rows of -sum over k of t'[k] * log_softmax(logits)[k]`.
///
/// | argument | shape | meaning |
/// | --- | --- | --- |
/// | `logits` | (N, K) | bf16, f32 or f64 |
/// | `targets` | (N, K) | weights of the classes, same type, or f32 beside bf16; mixed labels of mixup and cutmix |
/// | `label_smoothing` | in \[0, 1\] | share of each target spread over all classes |
///
/// Returns a scalar in nats, f32 for bf16 logits, else of their type. The gradient goes to `logits`; targets are constants and get none.
///
/// # Errors
///
/// [`Error::Argument`] for an empty batch, no classes, or smoothing out of range; shapes, types and devices as everywhere.
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let logits = Tensor::new(&[[0f32, 0.]], &Device::Cpu)?;
/// let targets = Tensor::new(&[[0.25f32, 0.75]], &Device::Cpu)?;
/// let loss = lookahead_kernels::cross_entropy(&logits, &targets, 0.0)?;
/// assert!((loss.to_scalar::<f32>()? - 2f32.ln()).abs() < 1e-6);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn cross_entropy(logits: &Tensor, targets: &Tensor, label_smoothing: f64) -> Result<Tensor> {
    let op = "cross_entropy";
    let (rows, classes) = check(op, logits, label_smoothing)?;
    require_device(op, "targets", targets)?;
    if targets.dims() != [rows, classes] {
        return Err(wrong_shape(op, "targets", format!("({rows}, {classes})"), targets));
    }
    let summed = summed(logits.dtype());
    if ![logits.dtype(), summed].contains(&targets.dtype()) {
        let expected = format!("{:?}, as logits is", logits.dtype());
        return Err(Error::DType { op, argument: "targets", expected, got: targets.dtype() });
    }
    #[cfg(feature = "cuda")]
    if logits.device().is_cuda() {
        let targets = targets.detach().to_dtype(logits.dtype())?.contiguous()?;
        return crate::cuda::cross_entropy(&logits.contiguous()?, &targets, label_smoothing);
    }
    #[cfg(feature = "metal")]
    if logits.device().is_metal() {
        let targets = targets.detach().contiguous()?;
        return Ok(crate::composed::cross_entropy(&logits.contiguous()?, &targets, label_smoothing)?);
    }
    let (logits, targets) = (logits.contiguous()?, targets.detach().to_dtype(summed)?.contiguous()?);
    run(&logits, &targets, label_smoothing)
}

/// Mean cross-entropy of `logits` (N, K) against class indices (N), u32.
///
/// As [`cross_entropy`] with targets of 1 at the class and 0 elsewhere.
///
/// # Errors
///
/// As [`cross_entropy`]; [`Error::Argument`] also for an index that is no class.
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let logits = Tensor::new(&[[0f32, 0.], [0., 0.]], &Device::Cpu)?;
/// let classes = Tensor::new(&[1u32, 0], &Device::Cpu)?;
/// let loss = lookahead_kernels::cross_entropy_indices(&logits, &classes, 0.1)?;
/// assert!((loss.to_scalar::<f32>()? - 2f32.ln()).abs() < 1e-6);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn cross_entropy_indices(logits: &Tensor, targets: &Tensor, label_smoothing: f64) -> Result<Tensor> {
    let op = "cross_entropy_indices";
    let (rows, classes) = check(op, logits, label_smoothing)?;
    require_device(op, "targets", targets)?;
    if targets.dims() != [rows] {
        return Err(wrong_shape(op, "targets", format!("({rows})"), targets));
    }
    require_dtype(op, "targets", targets, DType::U32).map_err(|_| Error::DType {
        op,
        argument: "targets",
        expected: "U32 class indices".into(),
        got: targets.dtype(),
    })?;
    #[cfg(feature = "cuda")]
    if logits.device().is_cuda() {
        return crate::cuda::cross_entropy_indices(&logits.contiguous()?, &targets.contiguous()?, label_smoothing);
    }
    #[cfg(feature = "metal")]
    if logits.device().is_metal() {
        return Ok(crate::composed::cross_entropy_indices(&logits.contiguous()?, targets, label_smoothing)?);
    }
    let indices = targets.to_vec1::<u32>()?;
    if let Some(&index) = indices.iter().find(|&&index| index as usize >= classes) {
        let rule = "below the number of classes";
        return Err(Error::Argument { op, argument: "targets", rule, value: format!("{index} of {classes}") });
    }
    let mut distribution = vec![0f64; rows * classes];
    for (row, &index) in indices.iter().enumerate() {
        distribution[row * classes + index as usize] = 1.0;
    }
    let targets = Tensor::from_vec(distribution, (rows, classes), logits.device())?.to_dtype(summed(logits.dtype()))?;
    run(&logits.contiguous()?, &targets, label_smoothing)
}

fn check(op: &'static str, logits: &Tensor, label_smoothing: f64) -> Result<(usize, usize)> {
    require_device(op, "logits", logits)?;
    require_float(op, "logits", logits)?;
    let (rows, classes) = logits.dims2().map_err(|_| wrong_shape(op, "logits", "(N, K)".into(), logits))?;
    if rows == 0 || classes == 0 {
        let (rule, value) = ("at least one row and one class", format!("{rows} x {classes}"));
        return Err(Error::Argument { op, argument: "logits", rule, value });
    }
    if !(0.0..=1.0).contains(&label_smoothing) {
        let value = label_smoothing.to_string();
        return Err(Error::Argument { op, argument: "label_smoothing", rule: "in [0, 1]", value });
    }
    Ok((rows, classes))
}

/// The type of targets and loss.
fn summed(logits: DType) -> DType {
    if logits == DType::BF16 { DType::F32 } else { logits }
}

fn run(logits: &Tensor, targets: &Tensor, smoothing: f64) -> Result<Tensor> {
    Ok(match logits.dtype() {
        DType::BF16 => logits.apply_op2(targets, CrossEntropy::<bf16> { smoothing, element: PhantomData })?,
        DType::F64 => logits.apply_op2(targets, CrossEntropy::<f64> { smoothing, element: PhantomData })?,
        _ => logits.apply_op2(targets, CrossEntropy::<f32> { smoothing, element: PhantomData })?,
    })
}

struct CrossEntropy<T> {
    smoothing: f64,
    element: PhantomData<fn() -> T>,
}

impl<T: Element> CrossEntropy<T> {
    /// The smoothed targets of one row.
    fn smoothed<'a>(&self, targets: &'a [T::Accumulator]) -> impl Iterator<Item = f64> + 'a {
        let spread = self.smoothing * targets.iter().map(|t| t.to_f64()).sum::<f64>() / targets.len() as f64;
        let kept = 1.0 - self.smoothing;
        targets.iter().map(move |t| kept * t.to_f64() + spread)
    }
}

/// The logarithm of the sum of exponentials, safe for any size of logits.
fn log_sum_exp<T: Element>(logits: &[T]) -> f64 {
    let largest = logits.iter().map(|l| l.to_f64()).fold(f64::NEG_INFINITY, f64::max);
    largest + logits.iter().map(|l| (l.to_f64() - largest).exp()).sum::<f64>().ln()
}

impl<T: Element> CustomOp2 for CrossEntropy<T> {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn cpu_fwd(
        &self,
        logits: &CpuStorage,
        logits_layout: &Layout,
        targets: &CpuStorage,
        targets_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
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
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
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
