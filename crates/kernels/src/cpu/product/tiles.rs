//! Divides rows into register tiles of nearly equal size: twenty rows become two tiles of ten, not of twelve and eight.

use std::ops::Range;

/// The rows of part `index` of `parts`, the longer parts first.
#[inline(always)]
pub(crate) fn share(rows: usize, parts: usize, index: usize) -> Range<usize> {
    let (size, longer) = (rows / parts, rows % parts);
    let start = index * size + index.min(longer);
    start..start + size + usize::from(index < longer)
}

/// Calls `$tile!(MR)` with the constant that `$rows` is, at most 12 and at most `$most`, a constant of the vector's.
macro_rules! tile_of {
    ($rows:expr, $most:expr, $tile:ident) => {
        match $rows {
            1 => $tile!(1),
            2 => $tile!(2),
            3 if $most >= 3 => $tile!(3),
            4 if $most >= 4 => $tile!(4),
            5 if $most >= 5 => $tile!(5),
            6 if $most >= 6 => $tile!(6),
            7 if $most >= 7 => $tile!(7),
            8 if $most >= 8 => $tile!(8),
            9 if $most >= 9 => $tile!(9),
            10 if $most >= 10 => $tile!(10),
            11 if $most >= 11 => $tile!(11),
            12 if $most >= 12 => $tile!(12),
            _ => {}
        }
    };
}
pub(crate) use tile_of;

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn shares_are_even_and_leave_nothing_out() {
        assert_eq!([0, 1].map(|index| share(20, 2, index)), [0..10, 10..20]);
        assert_eq!([0, 1, 2].map(|index| share(32, 3, index)), [0..11, 11..22, 22..32]);
        assert_eq!([0, 1, 2, 3].map(|index| share(5, 4, index)), [0..2, 2..3, 3..4, 4..5]);
    }
}
