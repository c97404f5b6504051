//! A share of the cells.

use std::str::FromStr;

/// Share `number`, from 1, of `of`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// From 1.
    pub number: usize,
    /// Number of shares.
    pub of: usize,
}

/// Maximum number of shares: more, after a typing error, would take long to count.
pub(super) const MOST_SHARES: usize = 1_000_000;

impl Shard {
    /// All of the cells.
    pub const WHOLE: Self = Self { number: 1, of: 1 };

    /// Divides this share into `of` shares and returns share `number`, from 1.
    pub(super) fn part(self, number: usize, of: usize) -> Self {
        Self { number: (self.number - 1) * of + number, of: self.of * of }
    }

    /// Whether `cell` is one of its own.
    pub(super) fn owns(self, cell: usize) -> bool {
        cell % self.of == self.number - 1
    }

    /// All of `cells` cells in the order in which this share takes them: its own first (number, number + of, ...), then
    /// those of the next shares, so that nothing is left if another process ends.
    pub(super) fn order(self, cells: usize) -> Vec<usize> {
        (0..self.of).flat_map(|other| ((self.number - 1 + other) % self.of..cells).step_by(self.of)).collect()
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        match parts {
            Some((_, of)) if of > MOST_SHARES => Err(format!("there can be at most {MOST_SHARES} shares, not {of}")),
            Some((number, of)) if (1..=of).contains(&number) => Ok(Self { number, of }),
            _ => Err("expected I/N with I from 1 to N, such as 3/16".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_takes_its_own_first_and_then_all_others() {
        assert_eq!(Shard { number: 2, of: 3 }.order(7), [1, 4, 2, 5, 0, 3, 6]);
        assert_eq!(Shard::WHOLE.order(3), [0, 1, 2]);
        assert_eq!(Shard { number: 5, of: 5 }.order(2), [0, 1]);
        let own = |shard: Shard| (0..7).filter(|&cell| shard.owns(cell)).collect::<Vec<_>>();
        assert_eq!((own(Shard { number: 2, of: 3 }), own(Shard::WHOLE).len()), (vec![1, 4], 7));
    }

    #[test]
    fn parts_of_a_share_are_disjoint() {
        let parts: Vec<Shard> =
            [1, 2].iter().flat_map(|&number| [1, 2, 3].map(|part| Shard { number, of: 2 }.part(part, 3))).collect();
        let mut numbers: Vec<usize> = parts.iter().map(|shard| shard.number).collect();
        numbers.sort_unstable();
        assert_eq!((numbers, parts[0].of), (vec![1, 2, 3, 4, 5, 6], 6));
    }

    #[test]
    fn a_share_is_read() {
        assert_eq!("3/16".parse(), Ok(Shard { number: 3, of: 16 }));
        for wrong in ["0/4", "5/4", "3", "a/b", "1/0"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
        let error = "1/1000000000000".parse::<Shard>().unwrap_err();
        assert_eq!(error, "there can be at most 1000000 shares, not 1000000000000");
        assert!(format!("1/{MOST_SHARES}").parse::<Shard>().is_ok());
    }
}
