//! Seeds on the command line: numbers and ranges.

use std::ops::RangeInclusive;
use std::str::FromStr;

/// One item of `--seeds`: a number, or a range such as `1-20`, which includes both ends.
///
/// Seeds are below 2^63, the limit of TOML's integers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seeds(RangeInclusive<u64>);

/// A longer range is a slip of the keyboard, and would fill the memory before anything could say so.
const LONGEST: u64 = 10_000;

impl Seeds {
    /// All seeds of the items, in order.
    pub(in crate::program) fn all(items: &[Self]) -> Vec<u64> {
        items.iter().flat_map(|item| item.0.clone()).collect()
    }
}

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let seed = |part: &str| part.trim().parse().ok().filter(|seed| i64::try_from(*seed).is_ok());
        let ends = text.split_once('-').unwrap_or((text, text));
        let (Some(first), Some(last)): (Option<u64>, Option<u64>) = (seed(ends.0), seed(ends.1)) else {
            return Err("a seed is a whole number from 0 to 2^63 - 1; a range of seeds is written 1-20".to_owned());
        };
        if first > last {
            return Err(format!("a range starts at its smaller end: {last}-{first}"));
        }
        if last - first >= LONGEST {
            return Err(format!("a range has at most {LONGEST} seeds"));
        }
        Ok(Self(first..=last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ranges_are_read() {
        let items = ["7", "1-3", " 5 - 5", "9223372036854775807"].map(|text| text.parse().unwrap());
        assert_eq!(Seeds::all(&items), [7, 1, 2, 3, 5, i64::MAX as u64]);
        assert_eq!(Seeds::all(&["0-9999".parse().unwrap()]).len(), 10_000);
    }

    #[test]
    fn anything_else_is_refused() {
        for (text, reason) in [
            ("", "whole number"),
            ("x", "whole number"),
            ("-1", "whole number"),
            ("1-", "whole number"),
            ("1-2-3", "whole number"),
            ("1..3", "whole number"),
            ("9223372036854775808", "whole number"),
            ("3-1", "smaller end: 1-3"),
            ("1-10001", "at most 10000 seeds"),
        ] {
            let error = text.parse::<Seeds>().unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
