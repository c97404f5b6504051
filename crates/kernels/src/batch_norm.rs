//! Batch normalisation, alone or behind a convolution, with what follows it in the same pass: the public functions.

use candle_core::{DType, Tensor, Var};
use half::bf16;

use crate::conv2d::checked;
use crate::error::{activation, require_device, require_dtype, require_parameter_dtype, wrong_shape};
use crate::norm_op::{NormOp, Source};
use crate::{After, Error, Mode, Result};

/// The parameters and running statistics of one batch norm layer over `C` channels.
///
/// | field | shape | default | meaning |
/// | --- | --- | --- | --- |
/// | `weight` | (C) | | scale after normalising |
/// | `bias` | (C) | | shift after scaling |
/// | `running_mean` | (C) | | mean gathered in training, read in evaluation |
/// | `running_var` | (C) | | unbiased variance gathered in training |
/// | `momentum` | in \[0, 1\] | 0.1 | share of the new batch: `running = (1 - momentum) * running + momentum * batch` |
/// | `eps` | above 0 | 1e-5 | added to the variance under the root |
///
/// All four are of the type of the activations, or f32 beside bf16 ones, which is to be preferred: what is gathered in
/// running statistics is lost in the eight bits of bf16.
///
/// Conventions are PyTorch's: the biased variance normalises, the unbiased one (`n / (n - 1)`) is gathered.
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
    /// Mean gathered in training; overwritten by a forward pass in [`Mode::Train`].
    pub running_mean: Var,
    /// Unbiased variance gathered in training; overwritten likewise.
    pub running_var: Var,
    /// Share of the new batch in the running statistics.
    pub momentum: f64,
    /// Added to the variance.
    pub eps: f64,
}

impl BatchNorm {
    /// A layer with the default momentum and eps.
    ///
    /// Trainable parameters are given as `var.as_tensor().clone()`, which keeps them part of the graph.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`], [`Error::DType`] or [`Error::Device`] if the four tensors are not (C) floats of one type in the
    /// host's memory.
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
        norm.check("BatchNorm::new", norm.weight.elem_count(), norm.weight.dtype())?;
        Ok(norm)
    }

    /// Checks every field against the channels and the type of the input.
    pub(crate) fn check(&self, op: &'static str, channels: usize, dtype: DType) -> Result<()> {
        let fields: [(&'static str, &Tensor); 4] = [
            ("weight", &self.weight),
            ("bias", &self.bias),
            ("running_mean", self.running_mean.as_tensor()),
            ("running_var", self.running_var.as_tensor()),
        ];
        for (argument, tensor) in fields {
            require_device(op, argument, tensor)?;
            require_parameter_dtype(op, argument, tensor, dtype)?;
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
}

/// Batch normalisation over all but the last axis, and what follows it, as one node of the graph.
///
/// `y = (x - mean) / sqrt(variance + eps) * weight + bias`, then `after`. In [`Mode::Train`] mean and variance are the
/// batch's, and the running statistics of `norm` are updated; in [`Mode::Eval`] they are the running ones.
///
/// `x` is (N, H, W, C), bf16, f32 or f64; the result has its shape and type. Gradients go to `x`, to the residual of
/// [`After::AddRelu`], and to `norm.weight` and `norm.bias`. Sums over the batch are gathered in double precision.
///
/// # Errors
///
/// Shapes, types and devices that do not fit, each named; [`Error::Argument`] in training with fewer than two values a
/// channel, whose variance says nothing.
///
/// See [`BatchNorm::new`] for an example.
pub fn batch_norm(x: &Tensor, norm: &BatchNorm, after: After<'_>, mode: Mode) -> Result<Tensor> {
    let op = "batch_norm";
    let (batch, height, width, channels) = activation(op, "x", x)?;
    apply(op, x, Source::Input, (batch, height, width, channels), norm, after, mode)
}

/// [`conv2d`](crate::conv2d()), then [`batch_norm`], as one node of the graph.
///
/// Equal to the two calls, and faster: candle stores one gradient less, and the convolution's output never becomes a
/// tensor. This is the form to build networks from.
///
/// # Errors
///
/// Those of the two functions.
///
/// ```
/// use candle_core::{DType, Device, Tensor, Var};
/// use lookahead_kernels::{After, BatchNorm, Mode, conv2d_batch_norm};
///
/// let device = Device::Cpu;
/// let norm = BatchNorm::new(
///     Tensor::ones(16, DType::F32, &device)?,
///     Tensor::zeros(16, DType::F32, &device)?,
///     Var::zeros(16, DType::F32, &device)?,
///     Var::ones(16, DType::F32, &device)?,
/// )?;
/// let x = Tensor::randn(0f32, 1., (2, 8, 8, 3), &device)?;
/// let weight = Var::from_tensor(&Tensor::randn(0f32, 0.2, (16, 3, 3, 3), &device)?)?;
/// let y = conv2d_batch_norm(&x, &weight, 2, 1, &norm, After::Relu, Mode::Train)?;
/// assert_eq!(y.dims(), [2, 4, 4, 16]);
/// let gradients = y.sum_all()?.backward()?;
/// assert_eq!(gradients.get(&weight).map(|g| g.dims().to_vec()), Some(vec![16, 3, 3, 3]));
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn conv2d_batch_norm(
    x: &Tensor,
    weight: &Tensor,
    stride: usize,
    padding: usize,
    norm: &BatchNorm,
    after: After<'_>,
    mode: Mode,
) -> Result<Tensor> {
    let op = "conv2d_batch_norm";
    let shape = checked(op, x, weight, stride, padding)?;
    let source = Source::Conv2d(shape, weight.contiguous()?);
    apply(op, x, source, (shape.batch, shape.output.0, shape.output.1, shape.channels_out), norm, after, mode)
}

/// Refuses to normalise by the statistics of fewer than two values.
pub(crate) fn require_values(op: &'static str, mode: Mode, values: usize) -> Result<()> {
    if mode == Mode::Train && values < 2 {
        let rule = "at least 2 to normalise by the batch's statistics";
        return Err(Error::Argument { op, argument: "values per channel", rule, value: values.to_string() });
    }
    Ok(())
}

fn apply(
    op: &'static str,
    x: &Tensor,
    source: Source,
    output: (usize, usize, usize, usize),
    norm: &BatchNorm,
    after: After<'_>,
    mode: Mode,
) -> Result<Tensor> {
    let (batch, height, width, channels) = output;
    norm.check(op, channels, x.dtype())?;
    require_values(op, mode, batch * height * width)?;
    let residual = match after {
        After::AddRelu(residual) => {
            require_device(op, "residual", residual)?;
            require_dtype(op, "residual", residual, x.dtype())?;
            if residual.dims() != [batch, height, width, channels] {
                let expected = format!("({batch}, {height}, {width}, {channels})");
                return Err(wrong_shape(op, "residual", expected, residual));
            }
            Some(residual.contiguous()?)
        }
        After::Nothing | After::Relu => None,
    };
    let relu = !matches!(after, After::Nothing);
    let x = x.contiguous()?;
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        return crate::cuda::norm(op, &x, source, output, norm, residual.as_ref(), relu, mode);
    }
    #[cfg(feature = "metal")]
    if x.device().is_metal() {
        return Ok(crate::composed::norm(&x, &source, norm, residual.as_ref(), relu, mode)?);
    }
    Ok(match x.dtype() {
        DType::BF16 => NormOp::<bf16>::apply(op, &x, source, output, norm, residual.as_ref(), relu, mode)?,
        DType::F64 => NormOp::<f64>::apply(op, &x, source, output, norm, residual.as_ref(), relu, mode)?,
        _ => NormOp::<f32>::apply(op, &x, source, output, norm, residual.as_ref(), relu, mode)?,
    })
}
