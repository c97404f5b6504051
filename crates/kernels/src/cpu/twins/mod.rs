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

/// Largest error over the root mean square of the expected values; NaN if an element is NaN.
fn error(got: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(got.len(), expected.len());
    let rms = (expected.iter().map(|e| e * e).sum::<f64>() / expected.len().max(1) as f64).sqrt();
    got.iter()
        .zip(expected)
        .map(|(g, e)| (f64::from(*g) - e).abs())
        // `f64::max` would forget a NaN at the next number.
        .fold(0.0, |worst, e| if e > worst || e.is_nan() { e } else { worst })
        / rms.max(1e-30)
}

/// What a kernel gives in pools of different sizes: the same bits, and every element written.
fn in_pools(kernel: impl Fn() -> Vec<f32> + Sync) -> Vec<f32> {
    let pools: &[usize] = if SMALL { &[2] } else { &[1, 2, 7] };
    let results: Vec<Vec<f32>> = pools
        .iter()
        .copied()
        .map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(&kernel))
        .collect();
    for other in &results {
        same_bits("in pools of different sizes", &results[0], other);
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

/// Two outputs of the same sums must have the same bits, and be numbers: two kernels may leave out the same element.
fn same_bits(name: &str, one: &[f32], other: &[f32]) {
    assert_eq!(one.len(), other.len(), "{name}");
    for (at, (one, other)) in one.iter().zip(other).enumerate() {
        assert!(!one.is_nan(), "{name} at {at}: left out");
        assert_eq!(one.to_bits(), other.to_bits(), "{name} at {at}: {one} and {other}");
    }
}

/// A kernel's bf16 output must be its f32 output, rounded: the sums are the same. The inputs are numbers.
fn same_rounded(name: &str, narrow: &[bf16], wide: &[f32]) {
    assert_eq!(narrow.len(), wide.len());
    for (at, (narrow, wide)) in narrow.iter().zip(wide).enumerate() {
        assert!(!wide.is_nan(), "{name} at {at}: left out");
        assert_eq!(narrow.to_bits(), bf16::from_f32(*wide).to_bits(), "{name} at {at}: {narrow} from {wide}");
    }
}

/// The checks of the twins, of a kernel that leaves out its first element.
#[test]
fn an_element_left_out_shows() {
    let expected = [1.0, 2.0, 3.0];
    let kernel = || {
        run(3, f32::NAN, |y: &mut [MaybeUninit<f32>]| {
            y[1].write(2.0);
            y[2].write(3.0);
        })
    };
    let y = kernel();
    assert!(error(&y, &expected).is_nan());
    assert_eq!(error(&[1.0, 2.5, 3.0], &expected), 0.5 / (14f64 / 3.0).sqrt());
    let narrow: Vec<bf16> = y.iter().map(|&value| bf16::from_f32(value)).collect();
    let panics = |check: &dyn Fn()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)).is_err();
    assert!(panics(&|| same_rounded("y", &narrow, &y)));
    assert!(panics(&|| same_bits("y", &y, &y)));
    assert!(panics(&|| drop(in_pools(kernel))));
}
