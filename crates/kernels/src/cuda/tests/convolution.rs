//! What surrounds cuDNN's convolutions.

use candle_core::{Result, Tensor, Var};

use crate::Conv2dOptions;
use crate::cuda::convolution::convolve;
use crate::cuda::source::ElementType;
use crate::cuda::stream::{Direction, Operands, Order};
use crate::cuda::tests::emulated::Emulated;
use crate::cuda::tests::memory::{Memory, all, assert_close, gradient, numbers, tensor};
use crate::cuda::transpose::transpose;
use crate::ops::extents::conv_shape;

/// A convolution in the three directions, with the filters turned as the layers turn them.
fn case(device: &Emulated, element: ElementType, options: Conv2dOptions, order: Order) -> Result<()> {
    let (images, filters) = ([2, 5, 4, 6], [4, 6 / options.groups, 3, 2]);
    let (x, weight) = (numbers(240, 1), numbers(filters.iter().product(), 2));
    let (x_var, weight_var) =
        (Var::from_tensor(&tensor(&x, &images)?)?, Var::from_tensor(&tensor(&weight, &filters)?)?);
    let expected = crate::conv2d_with(&x_var, &weight_var, None, options)?;
    let dy = numbers(expected.elem_count(), 3);
    let loss = (&expected * tensor(&dy, expected.dims())?)?.sum_all()?;

    let shape = conv_shape("test", (2, 5, 4, 6), &weight_var, options)?;
    let [mut x, mut weight, mut dy] = [x, weight, dy].map(|values| Memory::of(element, &values));
    let [mut y, mut dx] = [shape.y_len(), shape.x_len()].map(|len| Memory::new(element, len));
    let [mut turned, mut d_turned, mut d_weight] = [(); 3].map(|()| Memory::new(element, shape.weight_len()));
    let turn = transpose(element.bytes(), (4, 6 / options.groups, 6), weight.at(), turned.at());
    if !all(&[turn.as_slice()]) {
        return Ok(());
    }
    let run = |direction, at| convolve(device, element, &shape, direction, at);
    run(Direction::Forward, Operands { x: x.at(), weight: turned.at(), y: y.at() })?;
    run(Direction::Filter, Operands { x: x.at(), weight: d_turned.at(), y: dy.at() })?;
    let data = Operands { x: dx.at(), weight: turned.at(), y: dy.at() };
    run(Direction::Data { add: false }, data)?;
    let once = dx.values();
    run(Direction::Data { add: true }, data)?;
    let back = transpose(element.bytes(), (4, 6, 6 / options.groups), d_turned.at(), d_weight.at());
    assert!(all(&[back.as_slice()]));
    assert!(device.convolutions.borrow().iter().all(|(convolution, _)| convolution.order == order));

    let expected_dx = gradient(&x_var, &loss)?;
    assert_close("y", element, &y.values(), &expected)?;
    assert_close("dw", element, &d_weight.values(), &gradient(&weight_var, &loss)?)?;
    assert_close("dx", element, &once, &expected_dx)?;
    assert_close("dx and dx", element, &dx.values(), &(expected_dx * 2.0)?)
}

/// cuDNN has no channels-last convolutions of doubles: they go there and back, and what is added to goes along.
#[test]
fn doubles_are_convolved_with_their_channels_first() -> Result<()> {
    for options in [
        Conv2dOptions { padding: 1, ..Conv2dOptions::default() },
        Conv2dOptions { stride: 2, groups: 2, ..Conv2dOptions::default() },
    ] {
        case(&Emulated::default(), ElementType::F64, options, Order::ChannelsFirst)?;
        case(&Emulated::default(), ElementType::F32, options, Order::ChannelsLast)?;
        case(&Emulated::default(), ElementType::Bf16, options, Order::ChannelsLast)?;
    }
    Ok(())
}

#[test]
fn what_is_refused_with_channels_last_is_done_with_channels_first() -> Result<()> {
    let options = Conv2dOptions { padding: 1, ..Conv2dOptions::default() };
    case(&Emulated::channels_first(), ElementType::F32, options, Order::ChannelsFirst)?;
    case(&Emulated::channels_first(), ElementType::Bf16, options, Order::ChannelsFirst)
}

#[test]
fn a_batch_without_images_is_not_convolved() -> Result<()> {
    let weight = Tensor::zeros((4, 6, 3, 2), candle_core::DType::F32, &candle_core::Device::Cpu)?;
    let shape = conv_shape("test", (0, 5, 4, 6), &weight, Conv2dOptions::default())?;
    let (device, at) = (Emulated::default(), crate::cuda::call::Pointer::NULL);
    convolve(&device, ElementType::F32, &shape, Direction::Forward, Operands { x: at, weight: at, y: at })?;
    assert!(device.convolutions.borrow().is_empty());
    Ok(())
}
