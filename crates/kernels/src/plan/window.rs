//! The extents of sliding windows, computed and checked once per call.

use std::ops::Range;

use crate::{Error, Result};

/// A window that slides over an image: kernel, stride, padding and dilation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Window {
    pub(crate) kernel: (usize, usize),
    pub(crate) stride: usize,
    pub(crate) padding: usize,
    /// Pixels from one tap to the next.
    pub(crate) dilation: usize,
}

/// Maximum padding per side: more than any network uses, and small enough that sums of extents cannot overflow.
const MOST_PADDING: usize = 1024;

impl Window {
    /// A window whose taps are neighbours.
    pub(crate) fn dense(kernel: (usize, usize), stride: usize, padding: usize) -> Self {
        Self { kernel, stride, padding, dilation: 1 }
    }

    /// Output extents (height, width) for an input of extents (height, width); a window that does not fit is an error.
    pub(crate) fn output(self, op: &'static str, input: (usize, usize)) -> Result<(usize, usize)> {
        if input.0 == 0 || input.1 == 0 {
            let value = format!("{} x {}", input.0, input.1);
            return Err(Error::Argument { op, argument: "image", rule: "of at least one row and column", value });
        }
        if self.padding > MOST_PADDING {
            let value = self.padding.to_string();
            return Err(Error::Argument { op, argument: "padding", rule: "at most 1024", value });
        }
        for (argument, value) in [("stride", self.stride), ("dilation", self.dilation)] {
            if value == 0 {
                return Err(Error::Argument { op, argument, rule: "at least 1", value: "0".into() });
            }
        }
        if self.kernel.0 == 0 || self.kernel.1 == 0 {
            let value = format!("{:?}", self.kernel);
            return Err(Error::Argument { op, argument: "kernel", rule: "at least 1 each way", value });
        }
        let (height, width) = (input.0 + 2 * self.padding, input.1 + 2 * self.padding);
        let reach = |taps: usize| (taps - 1).checked_mul(self.dilation).and_then(|reach| reach.checked_add(1));
        match (reach(self.kernel.0), reach(self.kernel.1)) {
            (Some(down), Some(right)) if down <= height && right <= width => {
                Ok(((height - down) / self.stride + 1, (width - right) / self.stride + 1))
            }
            _ => {
                let dilated = if self.dilation == 1 { String::new() } else { format!(" dilated by {}", self.dilation) };
                let value = format!("{:?}{dilated} over a padded image of {:?}", self.kernel, (height, width));
                Err(Error::Argument { op, argument: "kernel", rule: "no larger than the padded image", value })
            }
        }
    }

    /// The same window with the stride limited to the padded image: any larger stride also gives one output.
    pub(crate) fn within(self, input: (usize, usize)) -> Self {
        Self { stride: self.stride.min(input.0.max(input.1) + 2 * self.padding), ..self }
    }
}

/// All extents of one convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ConvShape {
    pub(crate) batch: usize,
    /// Input height and width.
    pub(crate) input: (usize, usize),
    /// Output height and width.
    pub(crate) output: (usize, usize),
    /// Channels of all groups together.
    pub(crate) channels_in: usize,
    pub(crate) channels_out: usize,
    /// Number of channel groups, a divisor of both channel counts.
    pub(crate) groups: usize,
    pub(crate) window: Window,
}

impl ConvShape {
    /// Extents (N, H, W, C) of the result.
    pub(crate) fn output_extents(&self) -> (usize, usize, usize, usize) {
        (self.batch, self.output.0, self.output.1, self.channels_out)
    }
    pub(crate) fn taps(&self) -> usize {
        self.window.kernel.0 * self.window.kernel.1
    }
    pub(crate) fn x_len(&self) -> usize {
        self.batch * self.input.0 * self.input.1 * self.channels_in
    }
    pub(crate) fn y_len(&self) -> usize {
        self.batch * self.output.0 * self.output.1 * self.channels_out
    }
    pub(crate) fn weight_len(&self) -> usize {
        self.taps() * self.group_inputs() * self.channels_out
    }
    /// Input channels of a group: those of a filter.
    pub(crate) fn group_inputs(&self) -> usize {
        self.channels_in / self.groups
    }
    /// Filters of a group.
    pub(crate) fn group_outputs(&self) -> usize {
        self.channels_out / self.groups
    }
}

/// All extents of one pooling, which keeps the channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PoolShape {
    pub(crate) batch: usize,
    pub(crate) input: (usize, usize),
    pub(crate) output: (usize, usize),
    pub(crate) channels: usize,
    pub(crate) window: Window,
}

impl PoolShape {
    /// The largest side of a window whose taps have numbers of eight bits.
    pub(crate) const MOST_SIDE: usize = 16;

    pub(crate) fn x_len(&self) -> usize {
        self.batch * self.input.0 * self.input.1 * self.channels
    }
    pub(crate) fn y_len(&self) -> usize {
        self.batch * self.output.0 * self.output.1 * self.channels
    }
    /// The rows and columns of the image that the window at output `(oy, ox)` covers.
    pub(crate) fn covered(&self, (oy, ox): (usize, usize)) -> (Range<usize>, Range<usize>) {
        let span = |out: usize, kernel: usize, extent: usize| {
            let start = out * self.window.stride;
            let end = (start + kernel).saturating_sub(self.window.padding).min(extent);
            start.saturating_sub(self.window.padding).min(end)..end
        };
        (span(oy, self.window.kernel.0, self.input.0), span(ox, self.window.kernel.1, self.input.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_extents_follow_the_floor_rule() {
        let window = Window::dense((3, 3), 2, 1);
        assert_eq!(window.output("t", (32, 7)).unwrap(), (16, 4));
        assert_eq!(window.output("t", (1, 2)).unwrap(), (1, 1));
    }

    #[test]
    fn strides_beyond_the_image_make_one_output() {
        let window = Window::dense((3, 2), usize::MAX, 1);
        assert_eq!(window.output("t", (4, 9)).unwrap(), (1, 1));
        let within = window.within((4, 9));
        assert_eq!((within.stride, within.output("t", (4, 9)).unwrap()), (11, (1, 1)));
    }

    #[test]
    fn windows_that_do_not_fit_are_named() {
        let window = Window::dense((7, 7), 1, 1);
        let message = window.output("conv2d", (4, 9)).unwrap_err().to_string();
        assert_eq!(
            message,
            "conv2d: kernel must be no larger than the padded image, got (7, 7) over a padded image of (6, 11)"
        );
        let far = Window { padding: usize::MAX / 2 + 1, ..window };
        let message = "conv2d: padding must be at most 1024, got 9223372036854775808";
        assert_eq!(far.output("conv2d", (4, 4)).unwrap_err().to_string(), message);
        let message = "conv2d: image must be of at least one row and column, got 0 x 4";
        assert_eq!(window.output("conv2d", (0, 4)).unwrap_err().to_string(), message);
        let still = Window::dense((1, 1), 0, 0);
        assert_eq!(still.output("conv2d", (4, 4)).unwrap_err().to_string(), "conv2d: stride must be at least 1, got 0");
    }

    #[test]
    fn dilated_windows_reach_further() {
        // Three taps, two apart, reach over five pixels: 7 + 2 - 5 = 4 steps.
        let window = Window { kernel: (3, 3), stride: 1, padding: 1, dilation: 2 };
        assert_eq!(window.output("t", (7, 5)).unwrap(), (5, 3));
        let message = window.output("conv2d", (2, 5)).unwrap_err().to_string();
        assert_eq!(
            message,
            "conv2d: kernel must be no larger than the padded image, got (3, 3) dilated by 2 over a padded image of (4, 7)"
        );
    }

    #[test]
    fn dilations_that_reach_too_far_are_errors() {
        let message = |dilation| {
            let window = Window { kernel: (3, 3), stride: 1, padding: 0, dilation };
            window.output("conv2d", (4, 4)).unwrap_err().to_string()
        };
        assert!(message(usize::MAX).contains("no larger than the padded image"));
        assert_eq!(message(0), "conv2d: dilation must be at least 1, got 0");
    }
}
