//! The parameters and running statistics of a batch norm layer.

use candle_core::{DType, Device, Tensor, Var};

use crate::check::{require_float, require_same_device, require_same_or_wide_dtype, wrong_shape};
use crate::{Error, Result};

/// The parameters and running statistics of one batch norm layer over `C` channels.
///
/// | field | shape | default | meaning |
/// | --- | --- | --- | --- |
/// | `weight` | (C) | | scale after normalising |
/// | `bias` | (C) | | shift after scaling |
/// | `running_mean` | (C) | | running mean, updated in training and used in evaluation |
/// | `running_var` | (C) | | running unbiased variance, likewise |
/// | `momentum` | in \[0, 1\] | 0.1 | weight of the new batch: `running = (1 - momentum) * running + momentum * batch` |
/// | `eps` | above 0 | 1e-5 | added to the variance inside the square root |
///
/// The four tensors have the type of the activations. With bf16 activations, prefer f32 tensors: small updates of the
/// running statistics are lost in the eight bits of bf16.
///
/// As in PyTorch, the biased variance normalises a batch, and the unbiased one (`n / (n - 1)`) updates `running_var`.
///
/// # References
///
/// Ioffe, Szegedy: Batch Normalization, 2015. arXiv:1502.03167
#[derive(Debug, Clone)]
pub struct BatchNorm {
    /// Scale after normalising.
    pub weight: Tensor,
    /// Shift after scaling.
    pub bias: Tensor,
    /// Running mean, updated by a forward pass in [`Mode::Train`](crate::Mode::Train).
    pub running_mean: Var,
    /// Running unbiased variance, updated likewise.
    pub running_var: Var,
    /// Weight of the new batch in the running statistics.
    pub momentum: f64,
    /// Added to the variance inside the square root.
    pub eps: f64,
}

impl BatchNorm {
    /// A layer with the default momentum and eps.
    ///
    /// Pass trainable parameters as `var.as_tensor().clone()`, which keeps them in the graph.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`], [`Error::DType`], [`Error::Device`] or [`Error::Devices`] if the four tensors are not (C) floats of one
    /// type on one device (beside a bf16 weight, the others may be f32); [`Error::Argument`] for no channels.
    ///
    /// ```
    /// use candle_core::{DType, Device, Tensor, Var};
    /// use lookahead_kernels::{After, BatchNorm, Mode, batch_norm};
    ///
    /// let weight = Var::ones(1, DType::F32, &Device::Cpu)?;
    /// let bias = Var::zeros(1, DType::F32, &Device::Cpu)?;
    /// let (mean, var) = (Var::zeros(1, DType::F32, &Device::Cpu)?, Var::ones(1, DType::F32, &Device::Cpu)?);
    /// let norm = BatchNorm::new(weight.as_tensor().clone(), bias.as_tensor().clone(), mean.clone(), var)?;
    ///
    /// // Two values, -1 and 3: mean 1, biased variance 4.
    /// let x = Tensor::new(&[[[[-1f32], [3.]]]], &Device::Cpu)?;
    /// let y = batch_norm(&x, &norm, After::Nothing, Mode::Train)?.flatten_all()?.to_vec1::<f32>()?;
    /// assert!((y[0] + 1.0).abs() < 1e-5 && (y[1] - 1.0).abs() < 1e-5);
    /// assert!((mean.to_vec1::<f32>()?[0] - 0.1).abs() < 1e-7);
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    pub fn new(weight: Tensor, bias: Tensor, running_mean: Var, running_var: Var) -> Result<Self> {
        let norm = Self { weight, bias, running_mean, running_var, momentum: 0.1, eps: 1e-5 };
        let (op, weight) = ("BatchNorm::new", &norm.weight);
        require_float(op, "weight", weight)?;
        norm.check(op, weight.elem_count(), weight.dtype(), weight.device(), "weight")?;
        Ok(norm)
    }

    /// A layer without a trained scale: `weight` is a constant 1.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_fixed_scale(bias: Tensor, running_mean: Var, running_var: Var) -> Result<Self> {
        Self::new(bias.ones_like()?.detach(), bias, running_mean, running_var)
    }

    /// The layer for a plan: checked against the input, which is the argument `partner`, and with contiguous scale and shift,
    /// as CUDA's kernels read them. What is contiguous is not copied.
    pub(crate) fn checked(
        &self,
        op: &'static str,
        channels: usize,
        dtype: DType,
        device: &Device,
        partner: &'static str,
    ) -> Result<Self> {
        self.check(op, channels, dtype, device, partner)?;
        if device.is_cuda() {
            self.require_one_dtype(op)?;
        }
        Ok(Self { weight: self.weight.contiguous()?, bias: self.bias.contiguous()?, ..self.clone() })
    }

    /// Checks every field against the channels, type and device of the input, which is the argument `partner`.
    fn check(
        &self,
        op: &'static str,
        channels: usize,
        dtype: DType,
        device: &Device,
        partner: &'static str,
    ) -> Result<()> {
        if channels == 0 {
            return Err(Error::Argument { op, argument: "channels", rule: "at least 1", value: "0".into() });
        }
        let fields: [(&'static str, &Tensor); 4] = [
            ("weight", &self.weight),
            ("bias", &self.bias),
            ("running_mean", self.running_mean.as_tensor()),
            ("running_var", self.running_var.as_tensor()),
        ];
        for (argument, tensor) in fields {
            require_same_device(op, argument, tensor, device, partner)?;
            require_same_or_wide_dtype(op, argument, tensor, dtype, partner)?;
            if tensor.dims() != [channels] {
                return Err(wrong_shape(op, argument, format!("({channels})"), tensor));
            }
        }
        if !(0.0..=1.0).contains(&self.momentum) {
            let value = self.momentum.to_string();
            return Err(Error::Argument { op, argument: "momentum", rule: "in [0, 1]", value });
        }
        if !(self.eps > 0.0 && self.eps.is_finite()) {
            return Err(Error::Argument { op, argument: "eps", rule: "above 0", value: self.eps.to_string() });
        }
        Ok(())
    }

    /// Rejects fields of different types, which the CUDA kernel does not support.
    fn require_one_dtype(&self, op: &'static str) -> Result<()> {
        let dtype = self.weight.dtype();
        let (mean, var) = (self.running_mean.as_tensor(), self.running_var.as_tensor());
        let others = [("bias", &self.bias), ("running_mean", mean), ("running_var", var)];
        match others.into_iter().find(|(_, tensor)| tensor.dtype() != dtype) {
            Some((argument, tensor)) => {
                let expected = format!("{dtype:?} on a CUDA device, as the norm's weight is");
                Err(Error::DType { op, argument, expected, got: tensor.dtype() })
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_is_of_floats_of_one_type() -> Result<()> {
        let new = |weight: DType, others: DType| {
            let ones = |dtype| Tensor::ones(4, dtype, &Device::Cpu);
            let var = || Var::from_tensor(&ones(others)?);
            BatchNorm::new(ones(weight)?, ones(others)?, var()?, var()?)
        };
        let message = new(DType::U8, DType::U8).unwrap_err().to_string();
        assert_eq!(message, "BatchNorm::new: weight must be BF16, F32 or F64, got U8");
        let message = new(DType::F32, DType::F64).unwrap_err().to_string();
        assert_eq!(message, "BatchNorm::new: bias must be F32, as weight is, got F64");
        let message = new(DType::BF16, DType::F64).unwrap_err().to_string();
        assert_eq!(message, "BatchNorm::new: bias must be BF16, as weight is, or F32, got F64");
        assert!(new(DType::BF16, DType::F32).is_ok());
        Ok(())
    }

    #[test]
    fn a_plan_has_contiguous_parameters_and_copies_only_others() -> Result<()> {
        let device = &Device::Cpu;
        let (mean, var) = (Var::zeros(4, DType::F32, device)?, Var::ones(4, DType::F32, device)?);
        let strided = Var::ones(1, DType::F32, device)?.broadcast_as(4)?;
        let norm = BatchNorm::new(strided, Tensor::zeros(4, DType::F32, device)?, mean, var)?;
        assert!(!norm.weight.is_contiguous());
        let checked = norm.checked("batch_norm", 4, DType::F32, device, "x")?;
        assert!(checked.weight.is_contiguous() && checked.weight.track_op());
        assert_eq!(checked.bias.id(), norm.bias.id());
        assert_eq!(checked.checked("batch_norm", 4, DType::F32, device, "x")?.weight.id(), checked.weight.id());
        Ok(())
    }

    #[test]
    fn fields_of_two_types_are_named() -> Result<()> {
        let ones = Tensor::ones(4, DType::BF16, &Device::Cpu)?;
        let wide = Var::from_tensor(&ones.to_dtype(DType::F32)?)?;
        let norm = BatchNorm::new(ones.clone(), ones.clone(), Var::from_tensor(&ones)?, Var::from_tensor(&ones)?)?;
        assert!(norm.require_one_dtype("batch_norm").is_ok());
        let message = BatchNorm { running_var: wide, ..norm }.require_one_dtype("batch_norm").unwrap_err().to_string();
        let words = "batch_norm: running_var must be BF16 on a CUDA device, as the norm's weight is, got F32";
        assert_eq!(message, words);
        Ok(())
    }
}
