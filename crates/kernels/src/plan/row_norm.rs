//! The parameters of layer norm and RMS norm.

use candle_core::Tensor;

use crate::check::{require_same_device, require_same_or_wide_dtype, require_size, wrong_shape};
use crate::{Error, Result};

/// Layer norm over the trailing axes of its input.
///
/// | field | default | meaning |
/// | --- | --- | --- |
/// | `weight` | none | scale after normalising, with the shape of the trailing axes |
/// | `bias` | none | shift after scaling, with the same shape |
/// | `axes` | 1 | number of trailing axes that form a row |
/// | `eps` | 1e-5 | added to the variance inside the square root, above 0 |
///
/// Weight and bias have the type of the input, or f32 with a bf16 input.
///
/// # References
///
/// Ba, Kiros, Hinton: Layer Normalization, 2016. arXiv:1607.06450
#[derive(Debug, Clone)]
pub struct LayerNorm {
    /// Scale after normalising.
    pub weight: Option<Tensor>,
    /// Shift after scaling.
    pub bias: Option<Tensor>,
    /// Number of trailing axes that form a row.
    pub axes: usize,
    /// Added to the variance inside the square root.
    pub eps: f64,
}

impl Default for LayerNorm {
    fn default() -> Self {
        Self { weight: None, bias: None, axes: 1, eps: 1e-5 }
    }
}

/// RMS norm over the trailing axes of its input: layer norm without subtracting the mean.
///
/// | field | default | meaning |
/// | --- | --- | --- |
/// | `weight` | none | scale after normalising, with the shape of the trailing axes |
/// | `axes` | 1 | number of trailing axes that form a row |
/// | `eps` | 2^-23 | added to the mean square inside the square root, above 0; PyTorch's default for f32, used for every type |
///
/// # References
///
/// Zhang, Sennrich: Root Mean Square Layer Normalization, 2019. arXiv:1910.07467
#[derive(Debug, Clone)]
pub struct RmsNorm {
    /// Scale after normalising.
    pub weight: Option<Tensor>,
    /// Number of trailing axes that form a row.
    pub axes: usize,
    /// Added to the mean square inside the square root.
    pub eps: f64,
}

impl Default for RmsNorm {
    fn default() -> Self {
        Self { weight: None, axes: 1, eps: f64::from(f32::EPSILON) }
    }
}

/// A checked norm over rows.
#[derive(Debug, Clone)]
pub(crate) struct RowNormPlan {
    /// The function that was called, for messages.
    pub(crate) op: &'static str,
    /// Elements of a row.
    pub(crate) width: usize,
    /// Whether the mean is subtracted.
    pub(crate) centred: bool,
    /// Contiguous.
    pub(crate) weight: Option<Tensor>,
    /// Contiguous.
    pub(crate) bias: Option<Tensor>,
    pub(crate) eps: f64,
}

impl RowNormPlan {
    pub(crate) fn of_layer(op: &'static str, x: &Tensor, norm: &LayerNorm) -> Result<Self> {
        let plan = Self { op, width: 0, centred: true, weight: None, bias: norm.bias.clone(), eps: norm.eps };
        plan.checked(x, norm.axes, norm.weight.clone())
    }

    pub(crate) fn of_rms(op: &'static str, x: &Tensor, norm: &RmsNorm) -> Result<Self> {
        let plan = Self { op, width: 0, centred: false, weight: None, bias: None, eps: norm.eps };
        plan.checked(x, norm.axes, norm.weight.clone())
    }

    fn checked(mut self, x: &Tensor, axes: usize, weight: Option<Tensor>) -> Result<Self> {
        let op = self.op;
        if axes == 0 || axes > x.rank() {
            let value = format!("{axes} of {:?}", x.dims());
            return Err(Error::Argument { op, argument: "axes", rule: "from 1 to the number of x's axes", value });
        }
        let row = &x.dims()[x.rank() - axes..];
        require_size(op, "x", x.device().location(), row)?;
        self.width = row.iter().product();
        if self.width == 0 {
            let value = format!("{row:?}");
            return Err(Error::Argument { op, argument: "x", rule: "of at least one value per row", value });
        }
        if !(self.eps > 0.0 && self.eps.is_finite()) {
            return Err(Error::Argument { op, argument: "eps", rule: "above 0", value: self.eps.to_string() });
        }
        let parameter = |argument, tensor: Option<Tensor>| -> Result<Option<Tensor>> {
            let Some(tensor) = tensor else { return Ok(None) };
            require_same_device(op, argument, &tensor, x.device(), "x")?;
            require_same_or_wide_dtype(op, argument, &tensor, x.dtype(), "x")?;
            if tensor.dims() != row {
                return Err(wrong_shape(op, argument, format!("{row:?}, the shape of x's rows"), &tensor));
            }
            Ok(Some(tensor.contiguous()?))
        };
        self.weight = parameter("weight", weight)?;
        self.bias = parameter("bias", self.bias.take())?;
        Ok(self)
    }
}
