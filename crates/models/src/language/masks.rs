//! Dropout with numbered masks, so that repeating a pass drops the same entries.

use candle_core::{DType, Device, Tensor};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use rayon::prelude::*;

use crate::{Pass, Result};

/// Values that a task draws: whole blocks of the generator.
const TASK: usize = 1 << 14;

/// The masks of one pass. Each place in the network has a separate stream, which depends only on (seed, step, place).
#[derive(Debug, Clone, Copy)]
pub(super) struct Masks {
    pub(super) seed: u64,
    pub(super) pass: Pass,
    /// Number of places in a pass.
    pub(super) places: u64,
}

impl Masks {
    /// `shape` values, each 0 with probability `rate` and otherwise `1 / (1 - rate)`; `None` if nothing is dropped.
    pub(super) fn mask(
        &self,
        place: u64,
        rate: f64,
        shape: &[usize],
        (dtype, device): (DType, &Device),
    ) -> Result<Option<Tensor>> {
        let Pass::Train { step } = self.pass else { return Ok(None) };
        if rate == 0.0 {
            return Ok(None);
        }
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        // The top bit keeps these streams apart from those of the initial weights by more than chance.
        rng.set_stream((1 << 63) | self.places.wrapping_mul(step).wrapping_add(place));
        // Two bytes decide each value: the rate is met within 1 / 131,072.
        let threshold = (rate * 65_536.0).round() as u32;
        let scale = ((1.0 / (1.0 - rate)) as f32).to_bits();
        let mut mask = vec![0f32; shape.iter().product()];
        let draw = move |drawn: &mut Vec<u8>, (task, mask): (usize, &mut [f32])| {
            let mut rng = rng.clone();
            // The generator counts words of four bytes.
            rng.set_word_pos((task * TASK / 2) as u128);
            let drawn = &mut drawn[..2 * mask.len()];
            rng.fill_bytes(drawn);
            // Without a branch: which values stay cannot be predicted.
            for (value, pair) in mask.iter_mut().zip(drawn.as_chunks::<2>().0) {
                let kept = u32::from(u32::from(u16::from_le_bytes(*pair)) >= threshold);
                *value = f32::from_bits(scale * kept);
            }
        };
        mask.par_chunks_mut(TASK).enumerate().for_each_init(|| vec![0; 2 * TASK], draw);
        Ok(Some(Tensor::from_vec(mask, shape, device)?.to_dtype(dtype)?))
    }

    /// The mask of activations (T, B, F), or of the same units at all steps.
    pub(super) fn of_activations(
        &self,
        place: u64,
        rate: f64,
        (steps, batch, features): (usize, usize, usize),
        locked: bool,
        kind: (DType, &Device),
    ) -> Result<Option<Tensor>> {
        self.mask(place, rate, &[if locked { 1 } else { steps }, batch, features], kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(seed: u64, step: u64, place: u64) -> Vec<f32> {
        let masks = Masks { seed, pass: Pass::Train { step }, places: 3 };
        let mask = masks.mask(place, 0.25, &[4000], (DType::F32, &Device::Cpu)).unwrap();
        mask.unwrap().to_vec1().unwrap()
    }

    #[test]
    fn masks_are_numbered_and_keep_what_they_should() {
        let first = mask(1, 7, 2);
        assert_eq!(first, mask(1, 7, 2));
        for other in [mask(2, 7, 2), mask(1, 8, 2), mask(1, 7, 1)] {
            assert_ne!(first, other);
        }
        assert!(first.iter().all(|value| *value == 0.0 || *value == 4.0 / 3.0));
        let dropped = first.iter().filter(|value| **value == 0.0).count();
        // Five standard deviations of 4,000 draws.
        assert!((dropped as f64 - 1000.0).abs() < 5.0 * 750f64.sqrt(), "{dropped}");
    }

    /// A step from a file may be any number.
    #[test]
    fn the_last_step_has_masks() {
        assert_eq!(mask(1, u64::MAX, 2), mask(1, u64::MAX, 2));
    }

    /// The bytes of one stream decide, whichever task draws them.
    #[test]
    fn tasks_continue_one_stream() {
        let masks = Masks { seed: 5, pass: Pass::Train { step: 2 }, places: 4 };
        let count = 2 * TASK + 33;
        let mask = masks.mask(3, 0.5, &[count], (DType::F32, &Device::Cpu)).unwrap().unwrap().to_vec1::<f32>().unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        rng.set_stream((1 << 63) | 11);
        let mut drawn = vec![0; 2 * count];
        rng.fill_bytes(&mut drawn);
        // With a rate of 1/2, the top bit of the second byte decides.
        let expected = drawn.chunks_exact(2).map(|pair| if pair[1] >= 128 { 2.0 } else { 0.0 });
        assert!(mask.into_iter().eq(expected));
    }

    #[test]
    fn nothing_is_dropped_in_evaluation_and_locked_masks_hold_for_all_steps() {
        let masks = Masks { seed: 1, pass: Pass::Eval, places: 1 };
        let of = |masks: Masks, locked| {
            masks.of_activations(0, 0.5, (5, 2, 40), locked, (DType::F32, &Device::Cpu)).unwrap()
        };
        assert!(of(masks, true).is_none());
        let masks = Masks { pass: Pass::Train { step: 0 }, ..masks };
        let locked = of(masks, true).unwrap().to_vec3::<f32>().unwrap();
        assert!(locked.len() == 1 && locked[0][0] != locked[0][1]);
        let steps = of(masks, false).unwrap().to_vec3::<f32>().unwrap();
        assert!(steps.len() == 5 && steps[0] != steps[1]);
    }
}
