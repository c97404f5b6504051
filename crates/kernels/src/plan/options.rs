//! How a convolution's window moves and which channels it joins.

/// The settings of a convolution: [`conv2d_with`](crate::conv2d_with) and
/// [`conv2d_batch_norm_with`](crate::conv2d_batch_norm_with).
///
/// | field | default | range | meaning |
/// | --- | --- | --- | --- |
/// | `stride` | 1 | at least 1 | step of the window, both ways |
/// | `padding` | 0 | at most 1024 | zeros on each side, both ways |
/// | `dilation` | 1 | at least 1 | pixels from one tap of the filter to the next, both ways |
/// | `groups` | 1 | a divisor of input and output channels | the channels fall into so many parts that do not mix |
///
/// As in PyTorch. With as many groups as input channels the convolution is *depthwise*.
///
/// ```
/// use lookahead_kernels::Conv2dOptions;
///
/// let depthwise = Conv2dOptions { padding: 1, groups: 32, ..Conv2dOptions::default() };
/// assert_eq!((depthwise.stride, depthwise.dilation), (1, 1));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Conv2dOptions {
    /// Step of the window, both ways.
    pub stride: usize,
    /// Zeros on each side, both ways.
    pub padding: usize,
    /// Pixels from one tap to the next, both ways.
    pub dilation: usize,
    /// Parts of the channels that do not mix.
    pub groups: usize,
}

impl Default for Conv2dOptions {
    fn default() -> Self {
        Self { stride: 1, padding: 0, dilation: 1, groups: 1 }
    }
}
