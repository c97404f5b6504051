//! Numbers as the device has them, and how close they must come.

use candle_core::{DType, Device, Result, Tensor, Var};

use crate::cuda::call::{Call, Pointer};
use crate::cuda::emulator;
use crate::cuda::source::ElementType;

/// Numbers in memory as the device has them.
pub(super) struct Memory {
    pub(super) stored: ElementType,
    pub(super) len: usize,
    pub(super) words: Vec<u64>,
}

impl Memory {
    /// Filled with NaN, so that what is not written shows.
    pub(super) fn new(stored: ElementType, len: usize) -> Self {
        let words = vec![u64::MAX; (len * stored.bytes()).div_ceil(8) + 1];
        Self { stored, len, words }
    }

    pub(super) fn of(stored: ElementType, values: &[f64]) -> Self {
        let mut memory = Self::new(stored, values.len());
        for (i, &value) in values.iter().enumerate() {
            let bytes = match stored {
                ElementType::F32 => (value as f32).to_le_bytes().to_vec(),
                ElementType::F64 => value.to_le_bytes().to_vec(),
                ElementType::Bf16 => ((value as f32).to_bits() >> 16).to_le_bytes()[..2].to_vec(),
            };
            for (k, byte) in bytes.into_iter().enumerate() {
                let at = i * stored.bytes() + k;
                let shift = 8 * (at % 8);
                set_byte(&mut memory.words[at / 8], shift, byte);
            }
        }
        memory
    }

    pub(super) fn at(&mut self) -> Pointer {
        Pointer(self.words.as_mut_ptr() as u64)
    }

    pub(super) fn values(&self) -> Vec<f64> {
        let byte = |at: usize| (self.words[at / 8] >> (8 * (at % 8))) as u8;
        (0..self.len)
            .map(|i| {
                let word = (0..self.stored.bytes())
                    .rev()
                    .fold(0u64, |w, k| w << 8 | u64::from(byte(i * self.stored.bytes() + k)));
                match self.stored {
                    ElementType::F32 => f64::from(f32::from_bits(word as u32)),
                    ElementType::F64 => f64::from_bits(word),
                    ElementType::Bf16 => f64::from(f32::from_bits((word as u32) << 16)),
                }
            })
            .collect()
    }
}

fn set_byte(word: &mut u64, shift: usize, byte: u8) {
    *word = *word & !(0xff << shift) | u64::from(byte) << shift;
}

pub(super) fn wide(stored: ElementType) -> ElementType {
    if stored == ElementType::F64 { ElementType::F64 } else { ElementType::F32 }
}

/// Numbers without a pattern in [-1, 1), exact in bf16.
pub(super) fn numbers(len: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 57) as f64 / 64.0 - 1.0
        })
        .collect()
}

/// What rounding may cost: a few units in the last place, of the largest value.
fn tolerance(stored: ElementType) -> f64 {
    match stored {
        ElementType::F32 => 3e-6,
        ElementType::F64 => 1e-13,
        ElementType::Bf16 => 1.2e-2,
    }
}

pub(super) fn assert_close(name: &str, stored: ElementType, got: &[f64], expected: &Tensor) -> Result<()> {
    let expected = expected.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
    assert_eq!(got.len(), expected.len(), "{name}");
    let scale = expected.iter().fold(1.0, |largest: f64, value| largest.max(value.abs()));
    for (i, (got, expected)) in got.iter().zip(&expected).enumerate() {
        let off = (got - expected).abs();
        assert!(off <= tolerance(stored) * scale, "{name}[{i}], {stored:?}: {got} instead of {expected}");
    }
    Ok(())
}

pub(super) fn tensor(values: &[f64], shape: &[usize]) -> Result<Tensor> {
    Tensor::from_vec(values.to_vec(), shape, &Device::Cpu)
}

pub(super) fn gradient(of: &Var, loss: &Tensor) -> Result<Tensor> {
    loss.backward()?.get(of).cloned().ok_or_else(|| candle_core::Error::msg("no gradient"))
}

/// Runs launches in the emulator; false without a C++ compiler.
pub(super) fn all(parts: &[&[Call]]) -> bool {
    emulator::run(&parts.concat())
}
