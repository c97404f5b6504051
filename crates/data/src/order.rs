//! Which samples make which batch.

use crate::rng::{Purpose, SampleRng};

/// The order in which an epoch visits 0..`len`: shuffled from (seed, epoch), or as it stands.
pub(crate) fn epoch_order(seed: u64, epoch: usize, len: usize, shuffle: bool) -> Vec<u32> {
    if shuffle {
        SampleRng::keyed(seed, Purpose::Order, epoch as u64, 0).permutation(len)
    } else {
        (0..len as u32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_visits_each_sample_once() {
        let mut order = epoch_order(1, 0, 1000, true);
        assert_ne!(order, epoch_order(1, 1, 1000, true));
        assert_ne!(order, epoch_order(2, 0, 1000, true));
        order.sort_unstable();
        assert_eq!(order, epoch_order(1, 0, 1000, false));
    }
}
