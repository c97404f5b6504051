//! A bias over pixels.

use candle_core::Result;

use crate::cuda::call::Pointer;
use crate::cuda::columns::Matrix;
use crate::cuda::source::ElementType;
use crate::cuda::stream::Stream;
use crate::cuda::tests::emulated::Emulated;
use crate::cuda::tests::memory::{Memory, assert_close, numbers, tensor};

fn case(element: ElementType, parameter: ElementType, rows: usize, channels: usize) -> Result<()> {
    let matrix = Matrix { rows, channels, element, parameter };
    let (x, bias) = (numbers(rows * channels, 1), numbers(channels, 2));
    let values = tensor(&x, &[rows, channels])?;
    let expected = values.broadcast_add(&tensor(&bias, &[channels])?)?;
    let device = Emulated::default();
    let (mut dy, mut x) = (Memory::of(element, &x), Memory::of(element, &x));
    let (mut bias, mut d_bias) = (Memory::of(parameter, &bias), Memory::new(parameter, channels));
    device.launch(&matrix.add_bias(x.at(), bias.at()))?;
    let partials = device.memory(8 * matrix.partials())?;
    let partials: Pointer = Emulated::address(&partials);
    device.launch(&matrix.bias_gradient(dy.at(), partials, &device.meeting()?, d_bias.at()))?;
    if device.skips() {
        return Ok(());
    }
    assert_close("x", element, &x.values(), &expected)?;
    assert_close("d_bias", parameter, &d_bias.values(), &values.sum(0)?)
}

#[test]
fn a_bias_and_its_gradient_are_a_sum_and_sums() -> Result<()> {
    let (f32, f64, bf16) = (ElementType::F32, ElementType::F64, ElementType::Bf16);
    // A tile that is too wide, one channel, packs of four and of eight; parts and tiles that share a block.
    case(f64, f64, 30, 7)?;
    case(f32, f32, 700, 1)?;
    case(f32, f32, 700, 24)?;
    case(f32, f32, 300, 200)?;
    case(bf16, f32, 500, 24)?;
    case(bf16, bf16, 40, 33)
}
