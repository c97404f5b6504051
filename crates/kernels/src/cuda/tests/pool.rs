//! Pooling.

use candle_core::{Result, Tensor, Var};

use crate::cuda::pool;
use crate::cuda::source::ElementType;
use crate::cuda::tests::memory::{Memory, all, assert_close, gradient, numbers, tensor};
use crate::plan::{PoolShape, Window};

#[test]
fn pooling_is_that_of_the_cpu() -> Result<()> {
    for (kernel, stride, padding) in [(2, 2, 0), (3, 2, 1), (3, 1, 1), (2, 3, 0)] {
        let (batch, input, channels) = (2, (7, 6), 5);
        let window = Window::dense((kernel, kernel), stride, padding);
        let output = window.output("test", input)?;
        let shape = PoolShape { batch, input, output, channels, window };
        let (inputs, outputs) = pool::lens(&shape);
        // Few different values, so that elements tie.
        let x: Vec<f64> = numbers(inputs, 1).iter().map(|v| (v * 4.0).round()).collect();
        let dy = numbers(outputs, 2);
        let var = Var::from_tensor(&tensor(&x, &[batch, input.0, input.1, channels])?)?;
        let weighed = |y: &Tensor| (y.flatten_all()? * tensor(&dy, &[outputs])?)?.sum_all();
        for stored in [ElementType::F32, ElementType::F64, ElementType::Bf16] {
            let (mut x, mut dy) = (Memory::of(stored, &x), Memory::of(stored, &dy));
            let (mut y, mut dx) = (Memory::new(stored, outputs), Memory::new(stored, inputs));
            let mut winners = Memory::new(ElementType::F32, outputs);
            let forward = pool::max_pool(stored, &shape, x.at(), y.at(), winners.at());
            let backward = pool::max_pool_backward(stored, &shape, dy.at(), winners.at(), dx.at());
            if !all(&[&[forward, backward]]) {
                return Ok(());
            }
            let expected = crate::max_pool2d(&var, kernel, stride, padding)?;
            assert_close("max", stored, &y.values(), &expected)?;
            assert_close("max dx", stored, &dx.values(), &gradient(&var, &weighed(&expected)?)?)?;
            let forward = pool::avg_pool(stored, &shape, x.at(), y.at());
            let backward = pool::avg_pool_backward(stored, &shape, dy.at(), dx.at());
            assert!(all(&[&[forward, backward]]));
            let expected = crate::avg_pool2d(&var, kernel, stride, padding)?;
            assert_close("mean", stored, &y.values(), &expected)?;
            assert_close("mean dx", stored, &dx.values(), &gradient(&var, &weighed(&expected)?)?)?;
        }
    }
    Ok(())
}

#[test]
fn the_mean_of_whole_images_is_that_of_the_cpu() -> Result<()> {
    let window = Window::dense((3, 5), 1, 0);
    let shape = PoolShape { batch: 3, input: (3, 5), output: (1, 1), channels: 4, window };
    let (x, dy) = (numbers(180, 1), numbers(12, 2));
    let var = Var::from_tensor(&tensor(&x, &[3, 3, 5, 4])?)?;
    let expected = crate::global_avg_pool(&var)?;
    let (mut x, mut y) = (Memory::of(ElementType::F32, &x), Memory::new(ElementType::F32, 12));
    let (mut g, mut dx) = (Memory::of(ElementType::F32, &dy), Memory::new(ElementType::F32, 180));
    let forward = pool::avg_pool(ElementType::F32, &shape, x.at(), y.at());
    if !all(&[&[forward, pool::avg_pool_backward(ElementType::F32, &shape, g.at(), dx.at())]]) {
        return Ok(());
    }
    assert_close("mean", ElementType::F32, &y.values(), &expected)?;
    let loss = (&expected * tensor(&dy, &[3, 4])?)?.sum_all()?;
    assert_close("dx", ElementType::F32, &dx.values(), &gradient(&var, &loss)?)
}

#[test]
fn the_largest_is_nan_where_there_is_one() {
    let window = Window::dense((2, 2), 2, 0);
    let shape = PoolShape { batch: 1, input: (2, 2), output: (1, 1), channels: 1, window };
    let mut x = Memory::of(ElementType::F32, &[1.0, f64::NAN, 3.0, f64::NAN]);
    let (mut y, mut winners) = (Memory::new(ElementType::F32, 1), Memory::of(ElementType::F32, &[0.0]));
    if all(&[&[pool::max_pool(ElementType::F32, &shape, x.at(), y.at(), winners.at())]]) {
        assert!(y.values()[0].is_nan());
        assert_eq!(winners.words[0] as u32, 3, "the last NaN, as on the CPU");
    }
}
