//! From checked arguments to the extents of a plan.

use candle_core::Tensor;

use crate::check::{activation, require_same_device, require_same_or_wide_dtype, require_size, wrong_shape};
use crate::plan::{Conv2dOptions, ConvShape, PoolShape, Window};
use crate::{Error, Mode, Result};

/// Checks the arguments of a convolution and gives its extents.
pub(crate) fn conv_extents(op: &'static str, x: &Tensor, weight: &Tensor, options: Conv2dOptions) -> Result<ConvShape> {
    let input = activation(op, "x", x)?;
    require_same_device(op, "weight", weight, x.device(), "x")?;
    require_same_or_wide_dtype(op, "weight", weight, x.dtype(), "x")?;
    conv_shape(op, input, weight, options)
}

/// The extents of a convolution of activations with the extents `(batch, height, width, channels_in)`.
pub(crate) fn conv_shape(
    op: &'static str,
    (batch, height, width, channels_in): (usize, usize, usize, usize),
    weight: &Tensor,
    options: Conv2dOptions,
) -> Result<ConvShape> {
    let Conv2dOptions { stride, padding, dilation, groups } = options;
    if groups == 0 || !channels_in.is_multiple_of(groups) {
        let value = format!("{groups} for {channels_in} input channels");
        return Err(Error::Argument { op, argument: "groups", rule: "a divisor of the input channels", value });
    }
    let per_group = channels_in / groups;
    let expected = || match weight.dims().get(1) {
        _ if groups > 1 => format!("(O, {per_group}, Kh, Kw) to match x in {groups} groups"),
        // What a batch (N, C, H, W) looks like: the weights' channels are where the rows should be.
        Some(&inputs) if inputs == height && inputs != channels_in => format!(
            "(O, {channels_in}, Kh, Kw) to match x, whose last axis is its channels (to_channels_last turns (N, C, H, W))"
        ),
        _ => format!("(O, {channels_in}, Kh, Kw) to match x"),
    };
    let (channels_out, inputs, kernel_height, kernel_width) =
        weight.dims4().map_err(|_| wrong_shape(op, "weight", expected(), weight))?;
    if inputs != per_group {
        return Err(wrong_shape(op, "weight", expected(), weight));
    }
    if channels_in == 0 || channels_out == 0 {
        let value = format!("{channels_in} in, {channels_out} out");
        return Err(Error::Argument { op, argument: "channels", rule: "at least 1", value });
    }
    if !channels_out.is_multiple_of(groups) {
        let value = format!("{groups} for {channels_out} filters");
        return Err(Error::Argument { op, argument: "groups", rule: "a divisor of the filters", value });
    }
    let window = Window { kernel: (kernel_height, kernel_width), stride, padding, dilation };
    let output = window.output(op, (height, width))?;
    require_size(op, "result", weight.device().location(), &[batch, output.0, output.1, channels_out])?;
    let window = window.within((height, width));
    Ok(ConvShape { batch, input: (height, width), output, channels_in, channels_out, groups, window })
}

/// Checks a value per output channel.
pub(crate) fn check_bias(op: &'static str, bias: &Tensor, x: &Tensor, shape: &ConvShape) -> Result<()> {
    require_same_device(op, "bias", bias, x.device(), "x")?;
    require_same_or_wide_dtype(op, "bias", bias, x.dtype(), "x")?;
    if bias.dims() != [shape.channels_out] {
        return Err(wrong_shape(op, "bias", format!("({},), one per filter", shape.channels_out), bias));
    }
    Ok(())
}

/// Checks the arguments of a pooling and gives its extents.
pub(crate) fn pool_extents(
    op: &'static str,
    x: &Tensor,
    kernel: usize,
    stride: usize,
    padding: usize,
) -> Result<PoolShape> {
    let (batch, height, width, channels) = activation(op, "x", x)?;
    let window = Window::dense((kernel, kernel), stride, padding);
    let output = window.output(op, (height, width))?;
    if padding > kernel / 2 {
        let rule = "at most half the kernel, or a window could lie outside the image";
        return Err(Error::Argument { op, argument: "padding", rule, value: padding.to_string() });
    }
    if channels == 0 {
        return Err(Error::Argument { op, argument: "channels", rule: "at least 1", value: "0".into() });
    }
    require_size(op, "result", x.device().location(), &[batch, output.0, output.1, channels])?;
    let window = window.within((height, width));
    Ok(PoolShape { batch, input: (height, width), output, channels, window })
}

/// Rejects batch statistics of fewer than two values per channel, for a norm of these extents (N, H, W, C): the unbiased
/// variance of one value is 0 / 0.
pub(crate) fn require_values(op: &'static str, mode: Mode, extents: (usize, usize, usize, usize)) -> Result<()> {
    let (batch, height, width, _) = extents;
    let values = batch * height * width;
    if mode.uses_batch() && values < 2 {
        let rule = "at least 2 to normalise by the batch's statistics \
                    (take a larger batch, drop a last one of a single image, or use Mode::Eval)";
        let value = format!("{values} of shape {extents:?}");
        return Err(Error::Argument { op, argument: "values per channel", rule, value });
    }
    Ok(())
}
