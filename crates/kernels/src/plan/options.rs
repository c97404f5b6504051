//! The options of a convolution: stride, padding, dilation and groups.

/// The options of [`conv2d_with`](crate::conv2d_with) and
/// [`conv2d_batch_norm_with`](crate::conv2d_batch_norm_with).
///
/// | field | default | range | meaning |
/// | --- | --- | --- | --- |
/// | `stride` | 1 | at least 1 | step of the window in both directions |
/// | `padding` | 0 | at most 1024 | zeros on each side in both directions |
/// | `dilation` | 1 | at least 1 | pixels between neighbouring taps of the filter in both directions |
/// | `groups` | 1 | a divisor of input and output channels | number of channel groups that are convolved separately |
///
/// As in PyTorch. A convolution with as many groups as input channels is *depthwise*.
///
/// ```
/// use lookahead_kernels::Conv2dOptions;
///
/// let depthwise = Conv2dOptions { padding: 1, groups: 32, ..Conv2dOptions::default() };
/// assert_eq!((depthwise.stride, depthwise.dilation), (1, 1));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Conv2dOptions {
    /// Step of the window in both directions.
    pub stride: usize,
    /// Zeros on each side in both directions.
    pub padding: usize,
    /// Pixels between neighbouring taps in both directions.
    pub dilation: usize,
    /// Number of channel groups that are convolved separately.
    pub groups: usize,
}

impl Default for Conv2dOptions {
    fn default() -> Self {
        Self { stride: 1, padding: 0, dilation: 1, groups: 1 }
    }
}
