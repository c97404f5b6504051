//! Convolutions with bias, dilation and groups: values worked by hand, errors that name the culprit, extents at the edge, the
//! same bits on any number of threads.

mod support;

use candle_core::{DType, Device, Result, Tensor, Var};
use lookahead_kernels::{Conv2dOptions, conv2d, conv2d_with};

fn numbers(shape: impl Into<candle_core::Shape>, seed: u32) -> Result<Var> {
    Var::from_tensor(&support::numbers(shape, seed)?)
}

fn flat(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()
}

#[test]
fn values_worked_by_hand() -> Result<()> {
    let x = Tensor::new(&[[[[1f32], [2.], [3.], [4.], [5.]]]], &Device::Cpu)?;
    let weight = Tensor::new(&[[[[1f32, 10., 100.]]]], &Device::Cpu)?;
    let plain = Conv2dOptions::default();
    let dilated = Conv2dOptions { dilation: 2, ..plain };
    // Taps two apart: 1 + 10 * 3 + 100 * 5.
    assert_eq!(flat(&conv2d_with(&x, &weight, None, dilated)?)?, [531.]);
    let bias = Tensor::new(&[0.5f32], &Device::Cpu)?;
    assert_eq!(flat(&conv2d_with(&x, &weight, Some(&bias), plain)?)?, [321.5, 432.5, 543.5]);
    // Two groups of one channel, two filters each.
    let x = Tensor::new(&[[[[1f32, 10.]]]], &Device::Cpu)?;
    let weight = Tensor::new(&[1f32, 2., 3., 4.], &Device::Cpu)?.reshape((4, 1, 1, 1))?;
    assert_eq!(flat(&conv2d_with(&x, &weight, None, Conv2dOptions { groups: 2, ..plain })?)?, [1., 2., 30., 40.]);
    Ok(())
}

#[test]
fn gradient_of_the_bias_is_the_sum_over_pixels() -> Result<()> {
    // 2^24 + 1 is no f32: a sum in f32 would stay at 2^24.
    let (x, weight) = (Tensor::zeros((3, 1, 1, 1), DType::F32, &Device::Cpu)?, numbers((1, 1, 1, 1), 1)?);
    let bias = Var::zeros(1, DType::F32, &Device::Cpu)?;
    let y = conv2d_with(&x, &weight, Some(&bias), Conv2dOptions::default())?;
    let weigh = Tensor::new(&[16_777_216f32, 1., 1.], &Device::Cpu)?.reshape((3, 1, 1, 1))?;
    let gradients = (y * weigh)?.sum_all()?.backward()?;
    assert_eq!(gradients.get(&bias).map(flat).transpose()?, Some(vec![16_777_218.]));
    Ok(())
}

#[test]
fn errors_name_the_argument() -> Result<()> {
    let (x, weight) = (numbers((1, 4, 4, 6), 1)?, numbers((4, 3, 3, 3), 2)?);
    let message = |weight: &Tensor, bias: Option<&Tensor>, options: Conv2dOptions| {
        conv2d_with(&x, weight, bias, options).unwrap_err().to_string()
    };
    let plain = Conv2dOptions { groups: 2, ..Conv2dOptions::default() };
    let groups = |groups| message(&weight, None, Conv2dOptions { groups, ..plain });
    assert_eq!(groups(0), "conv2d_with: groups must be a divisor of the input channels, got 0 for 6 input channels");
    assert_eq!(groups(4), "conv2d_with: groups must be a divisor of the input channels, got 4 for 6 input channels");
    assert_eq!(
        groups(3),
        "conv2d_with: weight must have shape (O, 2, Kh, Kw) to match x in 3 groups, got [4, 3, 3, 3]"
    );
    let odd = numbers((5, 3, 3, 3), 2)?;
    assert_eq!(message(&odd, None, plain), "conv2d_with: groups must be a divisor of the filters, got 2 for 5 filters");
    let dilation = Conv2dOptions { dilation: 0, ..plain };
    assert_eq!(message(&weight, None, dilation), "conv2d_with: dilation must be at least 1, got 0");
    let far = Conv2dOptions { dilation: usize::MAX, ..plain };
    assert!(message(&weight, None, far).contains("kernel must be no larger than the padded image"));
    let padded = Conv2dOptions { padding: usize::MAX, ..plain };
    assert!(message(&weight, None, padded).contains("padding must be at most 1024"));
    let bias = numbers(3, 3)?;
    assert_eq!(message(&weight, Some(&bias), plain), "conv2d_with: bias must have shape (4,), one per filter, got [3]");
    let bias = Tensor::zeros(4, DType::F64, &Device::Cpu)?;
    assert!(message(&weight, Some(&bias), plain).contains("bias must be F32"));
    Ok(())
}

#[test]
fn images_without_pixels_are_errors_and_batches_without_images_are_not() -> Result<()> {
    let weight = numbers((16, 16, 3, 3), 1)?;
    for (height, width) in [(0, 4), (4, 0)] {
        let x = Tensor::zeros((1, height, width, 16), DType::F32, &Device::Cpu)?;
        let message = conv2d(&x, &weight, 2, 2).unwrap_err().to_string();
        assert!(message.contains("image must be of at least one row and column"), "{message}");
    }
    for groups in [1, 2, 16] {
        let x = Var::zeros((0, 4, 4, 16), DType::F32, &Device::Cpu)?;
        let (weight, bias) = (numbers((16, 16 / groups, 3, 3), 1)?, numbers(16, 2)?);
        let options = Conv2dOptions { padding: 1, groups, ..Conv2dOptions::default() };
        let y = conv2d_with(&x, &weight, Some(&bias), options)?;
        assert_eq!(y.dims(), [0, 4, 4, 16]);
        let gradients = y.sum_all()?.backward()?;
        for variable in [&weight, &bias] {
            let gradient = gradients.get(variable).map(flat).transpose()?.unwrap_or_default();
            assert!(gradient.iter().all(|g| *g == 0.0) && !gradient.is_empty());
        }
    }
    Ok(())
}

#[test]
fn bits_do_not_depend_on_the_threads() -> Result<()> {
    // (channels in, out, groups, stride, side, batch)
    for (i, o, groups, stride, side, batch) in [
        (24, 40, 1, 2, 9, 3),
        (40, 40, 40, 1, 33, 2),
        (24, 24, 24, 2, 16, 19),
        (24, 36, 4, 1, 6, 2),
        (3, 20, 1, 1, 12, 1),
    ] {
        let step = || -> Result<Vec<Vec<u32>>> {
            let (x, bias) = (numbers((batch, side, side, i), 1)?, numbers(o, 3)?);
            let weight = numbers((o, i / groups, 3, 3), 2)?;
            let options = Conv2dOptions { stride, padding: 1, groups, ..Conv2dOptions::default() };
            let y = conv2d_with(&x, &weight, Some(&bias), options)?;
            let gradients = y.sqr()?.sum_all()?.backward()?;
            let of = |variable: &Var| gradients.get(variable).ok_or_else(|| candle_core::Error::msg("no gradient"));
            let bits = |tensor: &Tensor| Ok(flat(tensor)?.into_iter().map(f32::to_bits).collect());
            [&y, of(&x)?, of(&weight)?, of(&bias)?].into_iter().map(bits).collect()
        };
        let in_pool = |threads| {
            let pool =
                rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(candle_core::Error::wrap)?;
            pool.install(step)
        };
        let one = in_pool(1)?;
        assert_eq!(one.len(), 4);
        for threads in [2, 7] {
            assert!(in_pool(threads)? == one, "{i} to {o} in {groups} groups on {threads} threads");
        }
    }
    Ok(())
}

#[test]
fn bf16_beside_f32_parameters() -> Result<()> {
    let (x, weight, bias) = (numbers((2, 5, 6, 24), 1)?, numbers((24, 1, 3, 3), 2)?, numbers(24, 3)?);
    let options = Conv2dOptions { padding: 1, groups: 24, ..Conv2dOptions::default() };
    let narrow = x.to_dtype(DType::BF16)?;
    let y = conv2d_with(&narrow, &weight, Some(&bias), options)?;
    assert_eq!(y.dtype(), DType::BF16);
    let wide = conv2d_with(&narrow.to_dtype(DType::F32)?, &weight, Some(&bias), options)?;
    assert_eq!(flat(&y)?, flat(&wide.to_dtype(DType::BF16)?)?);
    let gradients = y.sum_all()?.backward()?;
    assert_eq!(gradients.get(&bias).map(Tensor::dtype), Some(DType::F32));
    // 2 images of 5 x 6 pixels.
    assert_eq!(gradients.get(&bias).map(flat).transpose()?, Some(vec![60.0; 24]));
    Ok(())
}
