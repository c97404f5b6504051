//! A device's stream without a device: launches run in the emulator, convolutions are written out.
#![allow(unsafe_code, reason = "operands are addresses, as on a device")]

use std::cell::{Cell, RefCell};

use candle_core::Result;
use half::bf16;

use crate::cuda::call::{Call, Pointer};
use crate::cuda::emulator;
use crate::cuda::source::ElementType;
use crate::cuda::stream::{Convolution, Direction, Meeting, Operands, Order, Stream};

/// Runs what it is asked for, or only counts it.
#[derive(Debug, Default)]
pub(super) struct Emulated {
    pub(super) launches: RefCell<Vec<&'static str>>,
    pub(super) convolutions: RefCell<Vec<(Convolution, Direction)>>,
    only_counts: bool,
    /// Whether convolutions have their channels first only.
    only_channels_first: bool,
    /// Whether a launch found no C++ compiler.
    skips: Cell<bool>,
    gates: [Cell<u64>; BLOCKS],
}

/// Blocks at once: so few that some take several parts and tiles.
const BLOCKS: usize = 4;

impl Emulated {
    pub(super) fn counting() -> Self {
        Self { only_counts: true, ..Self::default() }
    }

    pub(super) fn channels_first() -> Self {
        Self { only_channels_first: true, ..Self::default() }
    }

    pub(super) fn skips(&self) -> bool {
        self.skips.get()
    }
}

impl Stream for Emulated {
    type Memory = Vec<u64>;

    fn memory(&self, bytes: usize) -> Result<Vec<u64>> {
        // NaN, so that what is not written shows.
        Ok(if self.only_counts { Vec::new() } else { vec![u64::MAX; bytes.div_ceil(8) + 1] })
    }

    fn address(memory: &Vec<u64>) -> Pointer {
        Pointer(memory.as_ptr() as u64)
    }

    fn launch(&self, call: &Call) -> Result<()> {
        self.launches.borrow_mut().push(call.kernel);
        if !self.only_counts {
            self.skips.set(!emulator::run(std::slice::from_ref(call)));
        }
        Ok(())
    }

    fn meeting(&self) -> Result<Meeting> {
        Ok(Meeting { gates: Pointer(self.gates.as_ptr() as u64), blocks: BLOCKS })
    }

    fn convolve(&self, convolution: &Convolution, direction: Direction, at: Operands) -> Result<()> {
        if self.only_channels_first && convolution.order == Order::ChannelsLast {
            candle_core::bail!("{convolution:?} is refused");
        }
        self.convolutions.borrow_mut().push((*convolution, direction));
        if self.only_counts {
            return Ok(());
        }
        let shape = &convolution.shape;
        let [mut x, mut weight, mut y] =
            [(at.x, shape.x_len()), (at.weight, shape.weight_len()), (at.y, shape.y_len())]
                .map(|(at, len)| (0..len).map(|i| read(convolution.element, at, i)).collect::<Vec<f64>>());
        match direction {
            Direction::Forward => y.fill(0.0),
            Direction::Data { add: false } => x.fill(0.0),
            Direction::Data { add: true } => (),
            Direction::Filter => weight.fill(0.0),
        }
        each_product(convolution, |at_x, at_weight, at_y| match direction {
            Direction::Forward => y[at_y] += x[at_x] * weight[at_weight],
            Direction::Data { .. } => x[at_x] += y[at_y] * weight[at_weight],
            Direction::Filter => weight[at_weight] += x[at_x] * y[at_y],
        });
        let (to, values) = match direction {
            Direction::Forward => (at.y, y),
            Direction::Data { .. } => (at.x, x),
            Direction::Filter => (at.weight, weight),
        };
        values.iter().enumerate().for_each(|(i, value)| write(convolution.element, to, i, *value));
        Ok(())
    }
}

/// Calls `f` with the three places of every product in a convolution.
fn each_product(convolution: &Convolution, mut f: impl FnMut(usize, usize, usize)) {
    let Convolution { shape, order, .. } = convolution;
    let place =
        |n: usize, c: usize, channels: usize, (row, column): (usize, usize), (rows, columns): (usize, usize)| {
            match order {
                Order::ChannelsFirst => ((n * channels + c) * rows + row) * columns + column,
                Order::ChannelsLast => ((n * rows + row) * columns + column) * channels + c,
            }
        };
    let (window, inputs) = (shape.window, shape.group_inputs());
    let from = |out: usize, tap: usize, extent: usize| {
        (out * window.stride + tap * window.dilation).checked_sub(window.padding).filter(|&at| at < extent)
    };
    for (n, o) in (0..shape.batch).flat_map(|n| (0..shape.channels_out).map(move |o| (n, o))) {
        for (row, column) in (0..shape.output.0).flat_map(|row| (0..shape.output.1).map(move |column| (row, column))) {
            for tap in 0..shape.taps() {
                let (down, right) = (tap / window.kernel.1, tap % window.kernel.1);
                let pixel = from(row, down, shape.input.0).zip(from(column, right, shape.input.1));
                let Some(pixel) = pixel else { continue };
                for i in 0..inputs {
                    let channel = o / shape.group_outputs() * inputs + i;
                    f(
                        place(n, channel, shape.channels_in, pixel, shape.input),
                        place(o, i, inputs, (down, right), window.kernel),
                        place(n, o, shape.channels_out, (row, column), shape.output),
                    );
                }
            }
        }
    }
}

fn read(element: ElementType, at: Pointer, index: usize) -> f64 {
    // SAFETY: the tests pass addresses of live memory with the extents of the convolution.
    unsafe {
        match element {
            ElementType::F32 => f64::from(*(at.0 as *const f32).add(index)),
            ElementType::F64 => *(at.0 as *const f64).add(index),
            ElementType::Bf16 => (*(at.0 as *const bf16).add(index)).to_f64(),
        }
    }
}

fn write(element: ElementType, at: Pointer, index: usize, value: f64) {
    // SAFETY: as in `read`.
    unsafe {
        match element {
            ElementType::F32 => *(at.0 as *mut f32).add(index) = value as f32,
            ElementType::F64 => *(at.0 as *mut f64).add(index) = value,
            ElementType::Bf16 => *(at.0 as *mut bf16).add(index) = bf16::from_f64(value),
        }
    }
}
