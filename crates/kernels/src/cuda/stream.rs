//! The interface between the host side of an operation and a device. Tests implement it without a device.

use candle_core::Result;

use crate::cuda::call::{Call, Pointer};
use crate::cuda::source::ElementType;
use crate::plan::ConvShape;

/// Memory, launches and convolutions, executed in order.
pub(crate) trait Stream {
    /// Device memory. When dropped, it is freed after all earlier work.
    type Memory;

    /// `bytes` bytes of uninitialised memory.
    fn memory(&self, bytes: usize) -> Result<Self::Memory>;

    fn address(memory: &Self::Memory) -> Pointer;

    fn launch(&self, call: &Call) -> Result<()>;

    /// Synchronisation between the blocks of a launch.
    fn meeting(&self) -> Result<Meeting>;

    /// One direction of a convolution that has at least one image.
    fn convolve(&self, convolution: &Convolution, direction: Direction, at: Operands) -> Result<()>;
}

/// Memory for launches whose blocks wait for one another, and the maximum number of such blocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meeting {
    /// Two u32 per block, zero before the first launch that uses them; launches leave them usable for the next.
    pub(crate) gates: Pointer,
    /// Number of blocks that are guaranteed to run at the same time.
    pub(crate) blocks: usize,
}

/// A convolution as cuDNN describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Convolution {
    pub(crate) shape: ConvShape,
    pub(crate) element: ElementType,
    pub(crate) order: Order,
}

/// The memory order of images and filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Order {
    /// Images (N, C, H, W), filters (O, I, Kh, Kw).
    ChannelsFirst,
    /// Images (N, H, W, C), filters (O, Kh, Kw, I).
    ChannelsLast,
}

/// Addresses of the three tensors of a convolution: x, filters and y; a gradient takes the place of its tensor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operands {
    pub(crate) x: Pointer,
    pub(crate) weight: Pointer,
    pub(crate) y: Pointer,
}

/// The tensor that is computed from the other two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Forward,
    /// The gradient of x, added to the content if `add`.
    Data {
        add: bool,
    },
    Filter,
}
