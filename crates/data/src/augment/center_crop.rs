//! Centre crop.

use serde::{Deserialize, Serialize};

use super::window::Window;
use super::{Border, check_side};
use crate::{ImageSize, Result};

/// Cuts a square of `size` pixels out of the centre. If the image is smaller, `border` fills the rest.
///
/// The corner is at round((H - size) / 2), halves to even, as in torchvision; a padded side gets the smaller half first.
///
/// # References
/// torchvision 0.29, `transforms.v2.CenterCrop` (border zero).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CenterCrop {
    /// Side of the result, 1..=8192.
    pub size: usize,
    /// Pixels outside the image. Default: zero.
    #[serde(default)]
    pub border: Border,
}

impl CenterCrop {
    /// A crop of `size` pixels with black outside.
    pub fn new(size: usize) -> Self {
        Self { size, border: Border::Zero }
    }

    pub(super) fn validate(&self) -> Result<()> {
        check_side("center-crop.size", self.size)
    }

    pub(super) fn window(&self, input: ImageSize) -> Window {
        let (top, left) = (self.start(input.height), self.start(input.width));
        Window { top, left, size: ImageSize::square(self.size), border: self.border, mirrored: false }
    }

    fn start(&self, have: usize) -> isize {
        if have < self.size {
            return -((self.size - have) as isize / 2);
        }
        let spare = (have - self.size) as isize;
        // Python's round: a half goes to the even neighbour.
        let half = spare / 2;
        half + isize::from(spare % 2 == 1 && half % 2 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_are_torchvisions() {
        let start = |have, size| CenterCrop::new(size).start(have);
        // round(0.5) = 0, round(1.5) = 2, round(2.5) = 2.
        assert_eq!([start(4, 4), start(5, 4), start(6, 4), start(7, 4), start(8, 4), start(9, 4)], [0, 0, 1, 2, 2, 2]);
        assert_eq!([start(3, 4), start(1, 4)], [0, -1]);
    }
}
