//! Generated kernels, compiled by the machine's C++ compiler and run on the CPU, give the same bits as the CPU loop.

mod compiler;

use std::ffi::{CString, c_int, c_void};
use std::process::Command;

use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor, Var};

use super::formula::record;
use super::source::source;
use super::table::{CHUNK, Item, Table, items_per_launch, pack, require_length};
use crate::pull::Pull;
use crate::rule::{Clock, Fused, Number, Rule, Scales, Settings};
use crate::schedule_free::IterateWeights;
use crate::{
    AdadeltaConfig, AdagradConfig, AdamWConfig, AdamaxConfig, LionConfig, Momentum, NAdamConfig, Optimizer,
    RAdamConfig, Result, RmsPropConfig, ScheduleFreeAdamWConfig, ScheduleFreeSgdConfig, SgdConfig, WeightDecay,
};

/// A user-defined rule with every operation.
#[derive(Debug, Clone)]
struct Odd;

impl Rule for Odd {
    const NAME: &'static str = "odd";
    type Update = f64;
    fn validate(&self) -> Result<()> {
        Ok(())
    }
    fn learning_rate(&self) -> f64 {
        0.1
    }
    fn set_learning_rate(&mut self, _: f64) {}
    fn slots(&self) -> Vec<&'static str> {
        vec!["a", "b", "c"]
    }
    fn update(&self, clock: &Clock, scales: Scales) -> f64 {
        scales.learning_rate * 0.1 / clock.steps as f64
    }
    fn element<X: Number, const N: usize>(step: &f64, w: X, g: X, state: [X; N]) -> (X, [X; N]) {
        let size = (g.clone() * g.clone()).sqrt().offset(1e-3);
        let mut state = state.map(|s| s.scale(0.5) + size.clone());
        state[N - 1] = state[0].clone().maximum(w.clone());
        (w - (g / size).scale(*step), state)
    }
    fn settings(&self, _: &mut Settings) {}
}

const LENGTHS: [usize; 3] = [5, 2 * CHUNK + 3, 1];

fn numbers(len: usize, seed: u32) -> Vec<f32> {
    (0..len as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761).wrapping_add(seed * 977) >> 8) as f32 / 8_388_608.0 - 1.0)
        .collect()
}

/// One parameter, on one of the two sides.
struct Kept {
    weights: Vec<f32>,
    anchor: Vec<f32>,
    state: Vec<Vec<f32>>,
}

/// Six steps, the last of every three a pull with `rate`, on both sides; the second parameter is not pulled.
fn same_bits<R: Rule, const N: usize>(rule: R, rate: f64) {
    let start: Vec<Vec<f32>> = LENGTHS.iter().zip(1..).map(|(&len, seed)| numbers(len, seed)).collect();
    let var = |values: &Vec<f32>| Var::from_tensor(&Tensor::new(&values[..], &Device::Cpu).unwrap()).unwrap();
    let named: Vec<_> = start.iter().enumerate().map(|(i, values)| (format!("{i}"), var(values))).collect();
    let anchors: Vec<Var> = start.iter().map(var).collect();
    let mut cpu = Fused::<R>::new(named.clone(), rule.clone()).unwrap();
    // Values that must not be read while the state is fresh.
    let mut device: Vec<Kept> = start
        .iter()
        .map(|w| Kept { weights: w.clone(), anchor: w.clone(), state: vec![vec![f32::NAN; w.len()]; N] })
        .collect();
    let mut clock = Clock::FRESH;
    for step in 1..=6 {
        let gradients: Vec<Vec<f32>> = LENGTHS.iter().map(|&len| numbers(len, 10 + step)).collect();
        let mut grads = GradStore::default();
        for ((_, var), gradient) in named.iter().zip(&gradients) {
            grads.insert(var, Tensor::new(&gradient[..], &Device::Cpu).unwrap());
        }
        let pulls = step % 3 == 0;
        let pull = Pull { anchors: &anchors, takes_part: &[true, false, true], rate, write_back: step == 3 };
        if pulls {
            cpu.step_and_pull(&grads, &pull).unwrap()
        } else {
            cpu.step(&grads).unwrap()
        }

        rule.advance(&mut clock);
        let update = rule.update(&clock, Scales { learning_rate: 1.0, weight_decay: 1.0 });
        let (formula, constants) = record::<R, N>(&update);
        let items: Vec<Item> = device
            .iter_mut()
            .zip(&gradients)
            .zip(pull.takes_part)
            .map(|((copy, gradient), takes_part)| {
                let mut state = [0; 3];
                copy.state.iter_mut().zip(&mut state).for_each(|(slot, at)| *at = slot.as_mut_ptr() as u64);
                Item {
                    weights: copy.weights.as_mut_ptr() as u64,
                    gradient: gradient.as_ptr() as u64,
                    anchor: if pulls && *takes_part { copy.anchor.as_mut_ptr() as u64 } else { 0 },
                    state,
                    len: copy.weights.len(),
                    fresh: clock.is_first(),
                    constants: constants.clone(),
                }
            })
            .collect();
        if !emulate(&source(&formula), &items, rate as f32, pull.write_back) {
            return;
        }
    }
    let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    let state = cpu.state().unwrap();
    for (index, copy) in device.iter().enumerate() {
        let equal = |var: &Tensor, values: &[f32], what: &str| {
            let found = var.to_vec1::<f32>().unwrap();
            assert!(bits(&found) == bits(values), "{rule:?}: {what} of parameter {index}");
        };
        equal(&named[index].1, &copy.weights, "weights");
        equal(&anchors[index], &copy.anchor, "anchor");
        for (slot, values) in rule.slots().iter().zip(&copy.state) {
            equal(state.tensor(&format!("{slot}.{index}")).unwrap(), values, slot);
        }
    }
}

#[test]
fn generated_kernels_give_the_bits_of_the_cpu() {
    let weight_decay = WeightDecay::Decoupled(0.1);
    same_bits::<_, 0>(SgdConfig { learning_rate: 0.1, weight_decay, ..SgdConfig::default() }, 0.5);
    same_bits::<_, 1>(SgdConfig { momentum: Momentum::nesterov(0.9), ..SgdConfig::default() }, 0.3);
    same_bits::<_, 2>(AdamWConfig { learning_rate: 0.1, ..AdamWConfig::default() }, 0.8);
    same_bits::<_, 3>(AdamWConfig { amsgrad: true, weight_decay: WeightDecay::L2(0.1), ..AdamWConfig::default() }, 1.0);
    same_bits::<_, 3>(RmsPropConfig { momentum: Some(0.9), centered: true, ..RmsPropConfig::default() }, 0.0);
    same_bits::<_, 3>(Odd, 0.5);
}

#[test]
fn generated_kernels_of_the_other_optimizers_give_the_bits_of_the_cpu() {
    let weight_decay = WeightDecay::L2(0.1);
    // With this rate, RAdam's first steps use one formula and its later ones the other.
    same_bits::<_, 2>(RAdamConfig { beta2: 0.9, weight_decay, ..RAdamConfig::default() }, 0.5);
    same_bits::<_, 2>(NAdamConfig { weight_decay, ..NAdamConfig::default() }, 0.5);
    same_bits::<_, 1>(AdagradConfig { initial_sum: 0.1, weight_decay, ..AdagradConfig::default() }, 0.5);
    same_bits::<_, 2>(AdadeltaConfig { weight_decay, ..AdadeltaConfig::default() }, 0.5);
    same_bits::<_, 2>(AdamaxConfig { weight_decay, ..AdamaxConfig::default() }, 0.5);
    same_bits::<_, 1>(LionConfig { learning_rate: 0.1, weight_decay, ..LionConfig::default() }, 0.5);
    let weights = IterateWeights { warm_up: 3, ..IterateWeights::default() };
    same_bits::<_, 1>(ScheduleFreeSgdConfig { weights, weight_decay, ..ScheduleFreeSgdConfig::default() }, 0.5);
    let weight_decay = WeightDecay::Decoupled(0.1);
    same_bits::<_, 2>(ScheduleFreeAdamWConfig { weights, weight_decay, ..ScheduleFreeAdamWConfig::default() }, 0.5);
}

#[test]
fn a_new_learning_rate_is_no_new_kernel() {
    let formula = |learning_rate| {
        let config = SgdConfig { learning_rate, momentum: Momentum::classical(0.9), ..SgdConfig::default() };
        record::<SgdConfig, 1>(&config.update(&Clock::FRESH, Scales { learning_rate: 1.0, weight_decay: 1.0 }))
    };
    let ((a, first), (b, second)) = (formula(0.1), formula(0.2));
    assert_eq!(a, b);
    assert_ne!(first, second);
}

#[test]
fn a_table_fits_into_a_launch_and_cuts_tensors_into_blocks() {
    assert!(size_of::<Table>() + 64 <= 32_764);
    let item = |len| Item {
        weights: 1,
        gradient: 2,
        anchor: 0,
        state: [3, 4, 5],
        len,
        fresh: false,
        constants: vec![1.0, 2.0, 3.0],
    };
    assert!(items_per_launch(3) >= 300);
    let (table, blocks) = pack(&[item(CHUNK), item(CHUNK + 1), item(1)]);
    assert_eq!(blocks, 4);
    assert_eq!([table.0[6] >> 32, table.0[16] >> 32, table.0[26] >> 32], [0, 1, 3]);
    assert_eq!(table.0[9], u64::from(3f32.to_bits()));
}

#[test]
fn a_tensor_that_cannot_be_counted_is_refused() {
    assert!(require_length((1 << 31) - 1).is_ok());
    let message = require_length(1 << 31).unwrap_err().to_string();
    assert!(message.contains("a parameter of 2147483648 elements is too long for a CUDA device"), "{message}");
}

/// As the fused loop: the square of 1e20 is no f32, and a step of 1e20 / inf is 0.
#[test]
fn a_kernel_leaves_a_weight_of_infinite_variance_and_shows_a_nan() {
    let config = RmsPropConfig { centered: true, ..RmsPropConfig::default() };
    let clock = Clock { steps: 1, ..Clock::FRESH };
    let update = config.update(&clock, Scales { learning_rate: 1.0, weight_decay: 1.0 });
    let (formula, constants) = record::<RmsPropConfig, 2>(&update);
    let (mut weights, gradient, mut state) = ([1f32; 2], [1e20f32, f32::NAN], [[0f32; 2]; 2]);
    let [square_average, average] = &mut state;
    let item = Item {
        weights: weights.as_mut_ptr() as u64,
        gradient: gradient.as_ptr() as u64,
        anchor: 0,
        state: [square_average.as_mut_ptr() as u64, average.as_mut_ptr() as u64, 0],
        len: 2,
        fresh: true,
        constants,
    };
    if emulate(&source(&formula), &[item], 0.0, false) {
        assert!(weights[0] == 1.0 && weights[1].is_nan(), "{weights:?}");
    }
}

/// Runs a kernel over the items, thread after thread. Returns false, with a message on stderr, without a C++ compiler.
fn emulate(text: &str, items: &[Item], rate: f32, write_back: bool) -> bool {
    let Some(compiler) =
        ["c++", "g++", "clang++"].into_iter().find(|name| Command::new(name).arg("--version").output().is_ok())
    else {
        eprintln!("skipped: no C++ compiler (`c++`), which runs CUDA kernels on the CPU");
        return false;
    };
    const HEADER: &str = "#include <cmath>\n#include <cstring>\nstruct Index { unsigned x; };\nstatic Index blockIdx, threadIdx;\n\
         #define __global__\n#define __grid_constant__\n\
         static float __uint_as_float(unsigned bits) { float x; std::memcpy(&x, &bits, 4); return x; }\n";
    const LAUNCHER: &str = "extern \"C\" void launch(unsigned blocks, const Table *table, unsigned items, float rate, int write_back) {\n\
         \x20   for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x)\n\
         \x20       for (threadIdx.x = 0; threadIdx.x < 256; ++threadIdx.x)\n\
         \x20           update(*table, items, nullptr, 1.0f, INFINITY, rate, write_back);\n}\n";
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("step.cpp"), folder.path().join("step.so"));
    std::fs::write(
        &from,
        format!("{HEADER}{}{LAUNCHER}", text.replace("const __grid_constant__ Table", "const Table &")),
    )
    .unwrap();
    let flags = ["-std=c++17", "-O1", "-ffp-contract=off", "-w", "-shared", "-fPIC", "-Wl,-Bsymbolic", "-o"];
    let output = Command::new(compiler).args(flags).args([&to, &from]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let path = CString::new(to.to_str().unwrap()).unwrap();
    let (table, blocks) = pack(items);
    type Launch = unsafe extern "C" fn(u32, *const Table, u32, f32, c_int);
    // SAFETY: the library was just compiled, with this one function of this type; the items' addresses are of live vectors with the stated
    // lengths.
    unsafe {
        let library = libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
        assert!(!library.is_null(), "{path:?} cannot be loaded");
        let launch: Launch = std::mem::transmute::<*mut c_void, Launch>(libc::dlsym(library, c"launch".as_ptr()));
        launch(blocks, &raw const *table, items.len() as u32, rate, c_int::from(write_back));
        libc::dlclose(library);
    }
    true
}
