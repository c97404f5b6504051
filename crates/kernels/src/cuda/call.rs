//! A kernel launch as a value: kernel, number of blocks, arguments.
//!
//! Operations describe their launches in these terms, independent of a device. Their whole host side, including sizes, grids
//! and the order of arguments, therefore also runs without a GPU, in the tests' emulator.

use std::sync::Arc;

use crate::cuda::source::Source;

/// Threads of every block, the sources' `THREADS`.
pub(crate) const THREADS: usize = 256;

/// Maximum number of blocks of elementwise kernels, whose threads then process several elements each: 16 per multiprocessor
/// of an H100. Not measured.
const MOST_BLOCKS: usize = 132 * 16;

/// An address in device memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pointer(pub(crate) u64);

impl Pointer {
    /// An absent argument.
    pub(crate) const NULL: Self = Self(0);

    /// The address `bytes` further on.
    pub(crate) fn offset(self, bytes: usize) -> Self {
        Self(self.0 + bytes as u64)
    }
}

/// Words of a table passed as a launch argument. A launch takes 4,096 bytes of arguments in total.
pub(crate) const TABLE_WORDS: usize = 400;

/// An argument of a kernel, with exactly the type in its signature.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Argument {
    Pointer(Pointer),
    Int(i32),
    Unsigned(u32),
    Double(f64),
    Table(Arc<[u64; TABLE_WORDS]>),
}

impl Argument {
    /// The argument's bytes: those of the table, or the first ones of a little-endian word.
    pub(crate) fn words(&self) -> Vec<u64> {
        match self {
            Self::Pointer(pointer) => vec![pointer.0],
            Self::Int(value) => vec![u64::from(*value as u32)],
            Self::Unsigned(value) => vec![u64::from(*value)],
            Self::Double(value) => vec![value.to_bits()],
            Self::Table(words) => words.to_vec(),
        }
    }
}

impl From<Pointer> for Argument {
    fn from(pointer: Pointer) -> Self {
        Self::Pointer(pointer)
    }
}

impl From<f64> for Argument {
    fn from(value: f64) -> Self {
        Self::Double(value)
    }
}

/// An `int` parameter; tensors have fewer than 2^31 elements, so extents fit.
pub(crate) fn int(value: usize) -> Argument {
    Argument::Int(value as i32)
}

/// An `unsigned` parameter, likewise.
pub(crate) fn unsigned(value: usize) -> Argument {
    Argument::Unsigned(value as u32)
}

/// One launch, of blocks of [`THREADS`] threads.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    pub(crate) source: Source,
    pub(crate) kernel: &'static str,
    pub(crate) grid: (u32, u32, u32),
    /// Whether blocks wait for one another, so that all must run at the same time.
    pub(crate) together: bool,
    pub(crate) arguments: Vec<Argument>,
}

impl Call {
    /// One thread per element of `work`.
    pub(crate) fn each(source: Source, kernel: &'static str, work: usize, arguments: Vec<Argument>) -> Self {
        Self { source, kernel, grid: (work.div_ceil(THREADS).max(1) as u32, 1, 1), together: false, arguments }
    }

    /// Threads that process `work` elements in strides of the grid.
    pub(crate) fn strided(source: Source, kernel: &'static str, work: usize, arguments: Vec<Argument>) -> Self {
        let blocks = work.div_ceil(THREADS).clamp(1, MOST_BLOCKS) as u32;
        Self { source, kernel, grid: (blocks, 1, 1), together: false, arguments }
    }
}
