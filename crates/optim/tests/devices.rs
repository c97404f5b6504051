//! Every optimizer on each GPU of the build, alone and inside Lookahead, against the CPU: twenty steps from the same weights with
//! the same gradients.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};
use lookahead_optim::{Clip, Gradients, Lookahead, LookaheadConfig, Optimizer, Sgd, SgdConfig};
use support::every::{Build, every_optimizer};
use support::{Numbers, values, worst_error};

const STEPS: u64 = 20;

/// What the build has code for and the machine has; what is missing is printed, or fails where `LOOKAHEAD_NEEDS_GPU` is 1.
#[allow(unused_mut, reason = "only builds with a GPU's feature add any")]
fn devices() -> Vec<Device> {
    let (mut devices, mut missing) = (Vec::new(), "this build has no code for a GPU".to_owned());
    #[cfg(feature = "cuda")]
    match catch_unwind(|| Device::new_cuda_with_stream(0)) {
        Ok(Ok(device)) => devices.push(device),
        Ok(Err(error)) => missing = format!("there is no CUDA device: {error}"),
        Err(_) => missing = "there is no CUDA device: a library of CUDA is missing, see the panic above".to_owned(),
    }
    // candle panics where there is none.
    #[cfg(feature = "metal")]
    match catch_unwind(|| Device::new_metal(0)) {
        Ok(Ok(device)) => devices.push(device),
        Ok(Err(error)) => missing = format!("there is no Metal device: {error}"),
        Err(_) => missing = "there is no Metal device".to_owned(),
    }
    if devices.is_empty() {
        let needed = std::env::var_os("LOOKAHEAD_NEEDS_GPU").is_some_and(|value| value == "1");
        assert!(!needed, "LOOKAHEAD_NEEDS_GPU is 1, but {missing}");
        eprintln!("skipped: {missing}");
    }
    devices
}

/// Every optimizer, with the bound on its error in f32: generated kernels do what the CPU's loop does, but Muon multiplies matrices,
/// and a norm over all gradients is a sum, and sums have no set order.
fn cases() -> Vec<(&'static str, Build, f64)> {
    let clipped: Build = |p| {
        let gradients = Gradients { clip: Some(Clip::GlobalNorm(1.0)), ..Gradients::default() };
        Box::new(Sgd::new(p, SgdConfig { learning_rate: 0.05, gradients, ..SgdConfig::default() }).unwrap())
    };
    let bound = |name| if name == "muon" { 1e-2 } else { 1e-6 };
    let every = every_optimizer().into_iter().map(|(name, build)| (name, build, bound(name)));
    every.chain([("sgd, clipped by norm", clipped, 1e-5)]).collect()
}

/// Weights of a matrix, a vector longer than a kernel's block, and filters.
fn network(dtype: DType, device: &Device) -> Vec<(String, Var)> {
    let shapes: [(&str, &[usize]); 3] = [("matrix", &[24, 40]), ("vector", &[5000]), ("filters", &[8, 4, 3, 3])];
    let var = |(seed, (name, dims)): (u64, (&str, &[usize]))| {
        let values = Numbers(seed).take(dims.iter().product());
        let tensor = Tensor::from_vec(values, dims, &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
        (name.to_owned(), Var::from_tensor(&tensor.to_device(device).unwrap()).unwrap())
    };
    (1..).zip(shapes).map(var).collect()
}

/// All weights after twenty steps.
fn trajectory(parameters: &[(String, Var)], optimizer: &mut dyn Optimizer) -> Vec<f64> {
    for step in 0..STEPS {
        let mut gradients = GradStore::default();
        for (index, (_, var)) in parameters.iter().enumerate() {
            let noise = Numbers(1000 * step + index as u64).take(var.elem_count());
            let noise = Tensor::from_vec(noise, var.shape(), &Device::Cpu).unwrap().to_dtype(var.dtype()).unwrap();
            gradients.insert(var, noise.to_device(var.device()).unwrap());
        }
        optimizer.step(&gradients).unwrap();
    }
    parameters.iter().flat_map(|(_, var)| values(&var.as_detached_tensor().to_device(&Device::Cpu).unwrap())).collect()
}

#[test]
#[cfg_attr(not(any(feature = "cuda", feature = "metal")), ignore = "needs the feature cuda or metal")]
fn twenty_steps_are_those_of_the_cpu() {
    let mut failures = Vec::new();
    for device in devices() {
        // The crates have no half precision for Metal.
        let dtypes = if device.is_metal() { &[DType::F32][..] } else { &[DType::F32, DType::BF16] };
        for &dtype in dtypes {
            for (name, build, most) in cases() {
                for wrapped in [false, true] {
                    let run = |device: &Device| {
                        let parameters = network(dtype, device);
                        let mut optimizer = build(parameters.clone());
                        if wrapped {
                            optimizer = Box::new(Lookahead::new(optimizer, LookaheadConfig::default()).unwrap());
                        }
                        trajectory(&parameters, &mut *optimizer)
                    };
                    let most = if dtype == DType::BF16 { 1e-2 } else { most };
                    let what = format!("{name} {dtype:?} in Lookahead: {wrapped}");
                    // An optimizer that panics must not hide the next one.
                    let compared = AssertUnwindSafe(|| worst_error(&run(&device), &run(&Device::Cpu)));
                    match catch_unwind(compared) {
                        Ok(off) if off <= most => println!("{what}, off by {off:.1e}"),
                        Ok(off) => failures.push(format!("{what}, off by {off:.1e} instead of at most {most:.0e}")),
                        Err(_) => failures.push(format!("{what}, panicked: see above")),
                    }
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} of them failed:\n{}", failures.len(), failures.join("\n"));
}
