//! What the host side of an operation asks of a device. Written against this, it also runs in the tests, without one.

use candle_core::Result;

use crate::cuda::call::{Call, Pointer};
use crate::cuda::source::ElementType;
use crate::plan::ConvShape;

/// Memory, launches and convolutions, in the order they are asked for.
pub(crate) trait Stream {
    /// Freed, when it is dropped, after everything that was asked for before.
    type Memory;

    /// So many bytes, uninitialised.
    fn memory(&self, bytes: usize) -> Result<Self::Memory>;

    fn address(memory: &Self::Memory) -> Pointer;

    fn launch(&self, call: &Call) -> Result<()>;

    /// Where blocks of a launch meet.
    fn meeting(&self) -> Result<Meeting>;

    /// One direction of a convolution that has at least one image.
    fn convolve(&self, convolution: &Convolution, direction: Direction, at: Operands) -> Result<()>;
}

/// Where blocks of a launch that wait for one another meet, and how many may do so.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meeting {
    /// Two u32 a block, zero before the first launch that uses them, and left to the next.
    pub(crate) gates: Pointer,
    /// Blocks that surely run at once.
    pub(crate) blocks: usize,
}

/// A convolution as cuDNN describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Convolution {
    pub(crate) shape: ConvShape,
    pub(crate) element: ElementType,
    pub(crate) order: Order,
}

/// Where the channels of images and filters stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Order {
    /// Images (N, C, H, W), filters (O, I, Kh, Kw).
    ChannelsFirst,
    /// Images (N, H, W, C), filters (O, Kh, Kw, I).
    ChannelsLast,
}

/// Where the three tensors of a convolution are: x, the filters, and y; gradients are in the place of what they belong to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operands {
    pub(crate) x: Pointer,
    pub(crate) weight: Pointer,
    pub(crate) y: Pointer,
}

/// Which of the three is computed from the other two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Forward,
    /// x's gradient, added to what is there if `add`.
    Data {
        add: bool,
    },
    Filter,
}
