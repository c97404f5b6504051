//! Every fast kernel against its reference twin in f64: all instruction sets of this processor, both tile sizes, extents
//! that are no multiple of anything, and the same bits on any number of threads.

mod activation;
mod any_conv;
mod batch_norm;
mod conv;
mod cross_entropy;
mod lstm;
mod pool;
mod product;
mod row_norm;

use std::mem::MaybeUninit;

use half::bf16;

use crate::InstructionSet;
use crate::cpu::memory;

/// Roughly normal numbers, the same for the same seed.
pub(crate) fn numbers(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    (0..len).map(|_| (uniform() + uniform() + uniform()) * 2.0).collect()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

pub(crate) fn sets() -> impl Iterator<Item = InstructionSet> {
    [InstructionSet::Portable, InstructionSet::Avx2, InstructionSet::Avx512, InstructionSet::Neon]
        .into_iter()
        .filter(|set| set.is_available())
}

/// Runs a kernel into fresh memory that starts as NaN, so that an element left out shows.
fn run<T: Copy>(len: usize, poison: T, kernel: impl FnOnce(&mut [MaybeUninit<T>])) -> Vec<T> {
    let mut output = vec![poison; len];
    kernel(memory::as_output(&mut output));
    output
}

/// Largest error over the root mean square of the expected values.
fn error(got: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(got.len(), expected.len());
    let rms = (expected.iter().map(|e| e * e).sum::<f64>() / expected.len().max(1) as f64).sqrt();
    got.iter()
        .zip(expected)
        .map(|(g, e)| (f64::from(*g) - e).abs())
        .fold(0.0, |worst: f64, e| if e.is_nan() { f64::NAN } else { worst.max(e) })
        / rms.max(1e-30)
}

fn in_pools(kernel: impl Fn() -> Vec<f32> + Sync) -> Vec<f32> {
    let pools: &[usize] = if SMALL { &[2] } else { &[1, 2, 7] };
    let results: Vec<Vec<f32>> = pools
        .iter()
        .copied()
        .map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(&kernel))
        .collect();
    for other in &results[1..] {
        assert!(results[0].iter().zip(other).all(|(a, b)| a.to_bits() == b.to_bits()), "bits depend on the threads");
    }
    results.into_iter().next().unwrap()
}

/// Under Miri, which is thousands of times slower, one small case of everything.
const SMALL: bool = cfg!(miri);

/// Numbers that bf16 holds, as both types.
fn both(len: usize, seed: u64) -> (Vec<bf16>, Vec<f32>) {
    let narrow: Vec<bf16> = numbers(len, seed).into_iter().map(bf16::from_f32).collect();
    let wide = narrow.iter().map(|value| value.to_f32()).collect();
    (narrow, wide)
}

/// A kernel's bf16 output must be its f32 output, rounded: the sums are the same.
fn same_rounded(name: &str, narrow: &[bf16], wide: &[f32]) {
    assert_eq!(narrow.len(), wide.len());
    for (at, (narrow, wide)) in narrow.iter().zip(wide).enumerate() {
        assert_eq!(narrow.to_bits(), bf16::from_f32(*wide).to_bits(), "{name} at {at}: {narrow} from {wide}");
    }
}
