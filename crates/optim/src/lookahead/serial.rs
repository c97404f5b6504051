//! Periods and step sizes in files: constants are numbers, schedules cannot be written.

use super::{Period, StepSize};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Error, Serialize, Serializer};
use std::fmt;

/// A fixed period is an integer; a scheduled one cannot be written.
impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Fixed(period) => period.serialize(serializer),
            Self::Scheduled(_) => Err(S::Error::custom("a schedule cannot be written to a file; use a fixed period")),
        }
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        usize::deserialize(deserializer).map(Self::Fixed)
    }
}

/// A fixed step size is a number, an adaptive one `{ adaptive = { lowest = 0.1 } }`; a scheduled one cannot be written.
impl Serialize for StepSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Fixed(size) => size.serialize(serializer),
            Self::Adaptive { lowest } => Table { adaptive: Adaptive { lowest: *lowest } }.serialize(serializer),
            Self::Scheduled(_) => {
                Err(S::Error::custom("a schedule cannot be written to a file; use a fixed or an adaptive step size"))
            }
        }
    }
}

impl<'de> Deserialize<'de> for StepSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberOrTable)
    }
}

/// The adaptive step size, in the form a derived enum has.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    adaptive: Adaptive,
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Adaptive {
    lowest: f64,
}

struct NumberOrTable;

impl<'de> Visitor<'de> for NumberOrTable {
    type Value = StepSize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or a table `adaptive`")
    }

    fn visit_f64<E>(self, size: f64) -> Result<StepSize, E> {
        Ok(StepSize::Fixed(size))
    }

    fn visit_i64<E>(self, size: i64) -> Result<StepSize, E> {
        Ok(StepSize::Fixed(size as f64))
    }

    fn visit_u64<E>(self, size: u64) -> Result<StepSize, E> {
        Ok(StepSize::Fixed(size as f64))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<StepSize, A::Error> {
        let Table { adaptive: Adaptive { lowest } } = Table::deserialize(MapAccessDeserializer::new(map))?;
        Ok(StepSize::Adaptive { lowest })
    }
}
