//! Every optimizer on each GPU of the build, alone and inside Lookahead, against the CPU: twenty steps from the same weights with
//! the same gradients.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};
use lookahead_optim::{Lookahead, LookaheadConfig, Optimizer};
use support::every::every_optimizer;
use support::{Numbers, values, worst_error};

const STEPS: u64 = 20;

/// What the build has code for and the machine has; what is missing is printed.
#[allow(clippy::let_and_return, unused_mut, reason = "only builds with a GPU's feature add any")]
fn devices() -> Vec<Device> {
    let mut devices = Vec::new();
    #[cfg(feature = "cuda")]
    match std::panic::catch_unwind(|| Device::new_cuda_with_stream(0)) {
        Ok(Ok(device)) => devices.push(device),
        Ok(Err(error)) => eprintln!("skipped: no CUDA device: {error}"),
        Err(_) => eprintln!("skipped: no CUDA device: a library of CUDA is missing"),
    }
    // candle panics where there is none.
    #[cfg(feature = "metal")]
    match std::panic::catch_unwind(|| Device::new_metal(0)) {
        Ok(Ok(device)) => devices.push(device),
        Ok(Err(error)) => eprintln!("skipped: no Metal device: {error}"),
        Err(_) => eprintln!("skipped: no Metal device"),
    }
    devices
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
    for device in devices() {
        // The crates have no half precision for Metal.
        let dtypes = if device.is_metal() { &[DType::F32][..] } else { &[DType::F32, DType::BF16] };
        for &dtype in dtypes {
            for (name, build) in every_optimizer() {
                for wrapped in [false, true] {
                    let run = |device: &Device| {
                        let parameters = network(dtype, device);
                        let mut optimizer = build(parameters.clone());
                        if wrapped {
                            optimizer = Box::new(Lookahead::new(optimizer, LookaheadConfig::default()).unwrap());
                        }
                        trajectory(&parameters, &mut *optimizer)
                    };
                    let (expected, got) = (run(&Device::Cpu), run(&device));
                    let off = worst_error(&got, &expected);
                    // Generated kernels do what the CPU's loop does; Muon multiplies matrices, whose sums have no set order.
                    let most = if name == "muon" || dtype == DType::BF16 { 1e-2 } else { 1e-6 };
                    println!("{name} {dtype:?} in Lookahead: {wrapped}, off by {off:.1e}");
                    assert!(off <= most, "{name} {dtype:?} in Lookahead: {wrapped}: {off:.1e}");
                }
            }
        }
    }
}
