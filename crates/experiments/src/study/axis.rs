//! One setting that a study varies.

use serde::Deserialize;
use toml::Value;

use super::error::StudyError;

/// The values of a setting: a list to try, or a range to draw from.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Axis {
    /// Values: `[0.5, 0.8]`.
    List(Vec<Value>),
    /// A range: `{ low = 0.01, high = 1.0 }`.
    Range(Range),
}

/// A range to draw from.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// The lowest value. If both ends are integers, the drawn values are integers too.
    pub low: Value,
    /// The highest value.
    pub high: Value,
    /// Logarithmic, which suits learning rates, or linear.
    #[serde(default)]
    pub scale: Scale,
}

/// The scale of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// Logarithmic: equal ratios are equally likely.
    #[default]
    Log,
    /// Linear: equal differences are equally likely.
    Linear,
}

/// Significant digits of a drawn number: enough for a setting, few enough for a folder's name.
const DIGITS: usize = 3;

impl Axis {
    /// Checks the axis of `key`.
    ///
    /// # Errors
    /// [`StudyError::Axis`] for an empty list, a repeated value, a value that is not a number, word or boolean, and
    /// ends that are not rising numbers.
    pub(super) fn check(&self, key: &str) -> Result<(), StudyError> {
        let wrong = |reason: String| Err(StudyError::Axis { key: key.to_owned(), reason });
        match self {
            Self::List(values) if values.is_empty() => wrong("the list is empty; give the values to try".to_owned()),
            Self::List(values) => {
                if let Some(value) = values.iter().find(|value| text(value).is_none()) {
                    return wrong(format!("{value} is neither a number, a word, true nor false"));
                }
                let repeated = values.iter().enumerate().find(|(at, value)| values[..*at].contains(value));
                repeated.map_or(Ok(()), |(_, value)| wrong(format!("{value} is listed twice")))
            }
            Self::Range(range) => match range.ends() {
                Some((low, high)) if low < high && (low > 0.0 || range.scale == Scale::Linear) => Ok(()),
                Some((low, high)) => wrong(format!(
                    "{low} to {high}: `low` must be below `high` and, unless scale = \"linear\", above 0"
                )),
                None => wrong("low and high must be numbers".to_owned()),
            },
        }
    }

    /// Number of values of a list; `None` for a range.
    pub(super) fn count(&self) -> Option<usize> {
        match self {
            Self::List(values) => Some(values.len()),
            Self::Range(_) => None,
        }
    }

    /// The value at `position` of a list.
    pub(super) fn value(&self, position: usize) -> Option<Value> {
        match self {
            Self::List(values) => values.get(position).cloned(),
            Self::Range(_) => None,
        }
    }

    /// The value at `share` of the way through the axis, in [0, 1).
    pub(super) fn draw(&self, share: f64) -> Option<Value> {
        match self {
            Self::List(values) => values.get((share * values.len() as f64) as usize).cloned(),
            Self::Range(range) => {
                let (low, high) = range.ends()?;
                let at = match range.scale {
                    Scale::Log => low * (high / low).powf(share),
                    Scale::Linear => low + (high - low) * share,
                };
                Some(match range.is_whole() {
                    true => Value::Integer(at.round() as i64),
                    false => Value::Float(rounded(at, low, high)),
                })
            }
        }
    }

    /// Whether `value` is at an end of the axis: the lowest or highest of the numbers of a list that were `tried`, or
    /// the outer tenth of a range. An axis of words, or of fewer than three values, has no ends.
    pub(super) fn is_at_edge<'a>(&self, value: &Value, tried: impl Iterator<Item = &'a Value>) -> bool {
        let Some(value) = number(value) else { return false };
        match self {
            Self::List(values) => {
                if values.len() < 3 || values.iter().any(|value| number(value).is_none()) {
                    return false;
                }
                let tried: Vec<f64> = tried.filter_map(number).collect();
                tried.iter().all(|other| *other >= value) || tried.iter().all(|other| *other <= value)
            }
            Self::Range(range) => {
                let Some((low, high)) = range.ends() else { return false };
                let share = match range.scale {
                    Scale::Log => (value / low).ln() / (high / low).ln(),
                    Scale::Linear => (value - low) / (high - low),
                };
                !(0.1..=0.9).contains(&share)
            }
        }
    }
}

/// The range, such as `0.01 to 1 (logarithmic)`, or the values.
impl std::fmt::Display for Axis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::List(values) => f.write_str(&values.iter().filter_map(text).collect::<Vec<_>>().join(", ")),
            Self::Range(range) => {
                let by = if range.scale == Scale::Log { "logarithmic" } else { "linear" };
                write!(f, "{} to {} ({by})", range.low, range.high)
            }
        }
    }
}

impl Range {
    fn ends(&self) -> Option<(f64, f64)> {
        Some((number(&self.low)?, number(&self.high)?)).filter(|(low, high)| low.is_finite() && high.is_finite())
    }

    fn is_whole(&self) -> bool {
        matches!((&self.low, &self.high), (Value::Integer(_), Value::Integer(_)))
    }
}

/// The value as a number; `None` if it is not one.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        _ => None,
    }
}

/// A value as spelt in a folder's name: letters, digits, `.`, `+`, `-` and `_`; `None` if it has no short form.
pub(super) fn text(value: &Value) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    match value {
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) if (1e-4..1e6).contains(&number.abs()) || *number == 0.0 => Some(number.to_string()),
        Value::Float(number) if number.is_finite() => Some(format!("{number:e}")),
        Value::Boolean(truth) => Some(truth.to_string()),
        Value::String(word) if !word.is_empty() && word.chars().all(plain) => Some(word.clone()),
        _ => None,
    }
}

/// `value` with [`DIGITS`] digits, or with as many more as keep it within the range, which includes it.
fn rounded(value: f64, low: f64, high: f64) -> f64 {
    let with = |digits: usize| format!("{value:.*e}", digits - 1).parse().ok();
    // With 17 digits, it is itself.
    (DIGITS..=17).filter_map(with).find(|rounded| (low..=high).contains(rounded)).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(text: &str) -> Axis {
        let table: toml::Table = format!("axis = {text}").parse().unwrap();
        table["axis"].clone().try_into().unwrap()
    }

    /// A tenth of the way from 0.01 to 1 by ratios is 0.01 * 100^0.1 = 0.01585; by differences 0.109.
    #[test]
    fn values_drawn_by_hand() {
        assert_eq!(axis("{ low = 0.01, high = 1.0 }").draw(0.1), Some(Value::Float(0.0158)));
        assert_eq!(axis("{ low = 0.01, high = 1, scale = \"linear\" }").draw(0.1), Some(Value::Float(0.109)));
        assert_eq!(axis("{ low = 1, high = 100 }").draw(0.5), Some(Value::Integer(10)));
        assert_eq!(axis("[\"keep\", \"reset\"]").draw(0.5), Some("reset".into()));
        assert_eq!(axis("[1, 2, 3]").draw(0.999), Some(Value::Integer(3)));
        // 0.99 to 0.9999: 0.99959 is 1.00 in three digits, which no beta may be.
        let betas = axis("{ low = 0.99, high = 0.9999 }");
        assert_eq!(betas.draw(31.0 / 32.0), Some(Value::Float(0.9996)));
        assert_eq!(betas.draw(0.5), Some(Value::Float(0.995)));
        assert_eq!(axis("{ low = 0.1234, high = 0.2 }").draw(0.0), Some(Value::Float(0.1234)));
    }

    #[test]
    fn an_axis_that_is_none_is_refused() {
        for (wrong, word) in [
            ("[]", "empty"),
            ("[1, 1]", "twice"),
            ("[[1]]", "neither"),
            ("[\"a b\"]", "neither"),
            ("{ low = 1.0, high = 0.5 }", "below"),
            ("{ low = 0.0, high = 0.5 }", "above 0"),
            ("{ low = \"a\", high = 2 }", "numbers"),
        ] {
            let error = axis(wrong).check("k").unwrap_err().to_string();
            assert!(error.contains(word) && error.contains("`k`"), "{wrong}: {error}");
        }
        axis("{ low = 0.0, high = 0.5, scale = \"linear\" }").check("k").unwrap();
        assert!(
            "axis = { low = 1, high = 2, step = 3 }".parse::<toml::Table>().unwrap()["axis"]
                .clone()
                .try_into::<Axis>()
                .is_err()
        );
    }

    #[test]
    fn ends_are_flagged() {
        let is_at_edge = |list: &str, value: Value| {
            let Axis::List(values) = axis(list) else { panic!() };
            axis(list).is_at_edge(&value, values.iter())
        };
        assert_eq!([0.1, 0.2, 0.4].map(|rate| is_at_edge("[0.1, 0.2, 0.4]", rate.into())), [true, false, true]);
        assert!(!is_at_edge("[1, 2]", 1.into()) && !is_at_edge("[\"a\", \"b\", \"c\"]", "a".into()));
        // Of four rates, a part of the grid tried two.
        let tried = [0.1, 0.2].map(Value::from);
        let rates = axis("[0.05, 0.1, 0.2, 0.4]");
        assert!(tried.iter().all(|rate| rates.is_at_edge(rate, tried.iter())));
        let range = axis("{ low = 0.01, high = 1.0 }");
        assert_eq!([0.011, 0.1, 0.99].map(|rate| range.is_at_edge(&rate.into(), [].iter())), [true, false, true]);
    }

    #[test]
    fn values_are_spelt_for_folders() {
        let spelt: Vec<Option<String>> =
            [Value::Float(0.4), Value::Float(3e-7), 5.into(), "keep".into(), true.into(), Value::Array(vec![])]
                .iter()
                .map(text)
                .collect();
        let wanted = ["0.4", "3e-7", "5", "keep", "true"].map(|text| Some(text.to_owned()));
        assert_eq!(spelt[..5], wanted);
        assert_eq!(spelt[5], None);
    }
}
