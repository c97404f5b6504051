//! Functions of one number.

use candle_core::{Result, Var};

use crate::Activation;
use crate::cuda::call::Pointer;
use crate::cuda::source::ElementType;
use crate::cuda::tests::memory::{Memory, all, assert_close, gradient, numbers, tensor};
use crate::cuda::{activation, relu};

#[test]
fn the_rectifier_is_that_of_the_cpu() -> Result<()> {
    let len = 1000;
    let (mut x, dy) = (numbers(len, 1), numbers(len, 2));
    x[7] = 0.0;
    let var = Var::from_tensor(&tensor(&x, &[len])?)?;
    let expected = crate::relu(&var)?;
    let loss = (&expected * tensor(&dy, &[len])?)?.sum_all()?;
    let expected_dx = gradient(&var, &loss)?;
    for stored in [ElementType::F32, ElementType::F64, ElementType::Bf16] {
        let (mut x, mut dy) = (Memory::of(stored, &x), Memory::of(stored, &dy));
        let (mut y, mut dx) = (Memory::new(stored, len), Memory::new(stored, len));
        let calls =
            [relu::relu(stored, x.at(), y.at(), len), relu::relu_backward(stored, y.at(), dy.at(), dx.at(), len)];
        if !all(&[&calls]) {
            return Ok(());
        }
        assert_close("y", stored, &y.values(), &expected)?;
        assert_close("dx", stored, &dx.values(), &expected_dx)?;
    }
    Ok(())
}

#[test]
fn activations_are_those_of_the_cpu() -> Result<()> {
    let len = 1000;
    let mut x: Vec<f64> = numbers(len, 1).iter().map(|v| v * 8.0).collect();
    x[3] = 0.0;
    x[5] = f64::INFINITY;
    let dy = numbers(len, 2);
    let var = Var::from_tensor(&tensor(&x, &[len])?)?;
    for function in [Activation::Gelu, Activation::GeluTanh, Activation::Silu] {
        let expected = crate::activate(&var, function)?;
        let expected_dx =
            gradient(&var, &(expected.narrow(0, 6, len - 6)? * tensor(&dy[6..], &[len - 6])?)?.sum_all()?)?;
        for stored in [ElementType::F32, ElementType::F64, ElementType::Bf16] {
            let (mut x, mut dy) = (Memory::of(stored, &x), Memory::of(stored, &dy));
            let (mut y, mut dx) = (Memory::new(stored, len), Memory::new(stored, len));
            let forward = activation::activate(stored, function, x.at(), y.at(), len);
            let backward = activation::activate_backward(stored, function, x.at(), dy.at(), dx.at(), len);
            if !all(&[forward.as_slice(), backward.as_slice()]) {
                return Ok(());
            }
            let (y, dx) = (y.values(), dx.values());
            assert_eq!((y[3], y[5]), (0.0, f64::INFINITY), "{function:?} {stored:?}");
            assert!(dx[5].is_finite(), "{function:?} {stored:?}: the slope at infinity");
            assert_close("y", stored, &y[6..], &expected.narrow(0, 6, len - 6)?)?;
            assert_close("dx", stored, &dx[6..], &expected_dx.narrow(0, 6, len - 6)?)?;
        }
    }
    assert!(activation::activate(ElementType::F32, Activation::Relu, Pointer::NULL, Pointer::NULL, 1).is_none());
    Ok(())
}
