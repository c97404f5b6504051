//! Places in a configuration's TOML, and setting values there.

use std::path::Path;

use toml::{Table, Value};

use super::error::ConfigError;
use super::row::Around;

/// A place in a configuration: optionally an entry of `rows`, and the keys below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    row: Option<usize>,
    keys: Vec<String>,
}

impl Place {
    /// The value at this place.
    pub(super) fn get<'a>(&self, config: &'a Table) -> Option<&'a Value> {
        let (first, rest) = self.keys.split_first()?;
        let start = match self.row {
            Some(row) => config.get("rows")?.as_array()?.get(row)?.get(first),
            None => config.get(first),
        };
        rest.iter().try_fold(start?, |value, key| value.get(key))
    }
}

/// The places that `key` may mean, likeliest first. Each element is a set of places that receive the value together.
/// The result is empty if the key is Lookahead's and no row has Lookahead.
///
/// `lookahead.` means every Lookahead, also beside a row of that name; `rows.lookahead.` means the row.
pub(super) fn places(config: &Table, key: &str) -> Vec<Vec<Place>> {
    let rows = config.get("rows").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let parts: Vec<&str> = key.split('.').collect();
    let named = |name: &str| {
        let is_named = move |row: &&Value| row.get("name").and_then(Value::as_str) == Some(name);
        rows.iter().enumerate().filter(|(_, row)| is_named(row)).map(|(index, _)| index).collect::<Vec<_>>()
    };
    let place = |row, keys: &[&str]| Place { row: Some(row), keys: keys.iter().map(|key| (*key).to_owned()).collect() };
    let (name, rest) = match parts.as_slice() {
        ["rows", name, rest @ ..] if !rest.is_empty() => (*name, rest),
        [name, rest @ ..] => (*name, rest),
        [] => return Vec::new(),
    };
    let of_name = named(name);
    let is_group = name == "lookahead" && parts[0] != "rows" && !rest.is_empty();
    let mut found: Vec<Vec<Place>> = Vec::new();
    if is_group {
        let around = |(row, value): (usize, &Value)| {
            let around = value.get("around")?;
            let kind = kind(around).filter(|kind| kind.starts_with("lookahead"))?;
            let is_average = around.clone().try_into::<Around>().is_ok_and(|around| around.is_exponential_average());
            (!is_average).then(|| place(row, &[&["around", kind], rest].concat()))
        };
        let all: Vec<Place> = rows.iter().enumerate().filter_map(around).collect();
        found.extend((!all.is_empty()).then_some(all));
    }
    if !of_name.is_empty() && !rest.is_empty() {
        if ["name", "title", "inner", "around"].contains(&rest[0]) {
            return vec![of_name.iter().map(|&row| place(row, rest)).collect()];
        }
        let below = |part: &str| {
            let below = |&row: &usize| Some(place(row, &[&[part, kind(rows[row].get(part)?)?], rest].concat()));
            of_name.iter().map(below).collect::<Option<Vec<Place>>>()
        };
        found.extend([below("inner"), below("around")].into_iter().flatten());
        return found;
    }
    if is_group {
        return found;
    }
    vec![vec![Place { row: None, keys: parts.iter().map(|key| (*key).to_owned()).collect() }]]
}

/// The places of the single number of a choice at each of `all`: `weight_decay.l2` for `weight_decay`, and
/// `momentum.nesterov.momentum` for `momentum`.
pub(super) fn number_of_choice(config: &Table, all: &[Place]) -> Option<Vec<Place>> {
    let within = |place: &Place| {
        let choice = place.get(config)?;
        let kind = kind(choice)?;
        let mut keys = place.keys.clone();
        keys.push(kind.to_owned());
        if let Value::Table(settings) = choice.get(kind)? {
            let own = place.keys.last()?;
            settings.get(own)?;
            keys.push(own.clone());
        }
        Some(Place { row: place.row, keys })
    };
    all.iter().map(within).collect()
}

/// The kind of a choice that is a table with one key.
fn kind(choice: &Value) -> Option<&str> {
    let table = choice.as_table().filter(|table| table.len() == 1)?;
    table.keys().next().map(String::as_str)
}

/// Puts `value` at `place`: merged into the existing table or, if `instead`, in place of the existing choice.
pub(super) fn lay(config: &mut Table, place: &Place, value: Value, instead: bool) {
    let mut table = match place.row {
        Some(row) => {
            let rows = config.get_mut("rows").and_then(Value::as_array_mut);
            match rows.and_then(|rows| rows.get_mut(row)).and_then(Value::as_table_mut) {
                Some(table) => table,
                None => return,
            }
        }
        None => config,
    };
    let Some((last, above)) = place.keys.split_last() else { return };
    for key in above {
        if instead && !table.contains_key(key) {
            table.clear();
        }
        let inner = table.entry(key.clone()).or_insert_with(|| Value::Table(Table::new()));
        if !inner.is_table() {
            *inner = Value::Table(Table::new());
        }
        match inner {
            Value::Table(inner) => table = inner,
            _ => return,
        }
    }
    match (table.get_mut(last), value) {
        (Some(Value::Table(old)), Value::Table(new)) if !instead => merge(old, new),
        (Some(old), value) => *old = value,
        (None, value) => {
            if instead {
                table.clear();
            }
            table.insert(last.clone(), value);
        }
    }
}

fn merge(old: &mut Table, new: Table) {
    for (key, value) in new {
        match (old.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) => merge(old, new),
            (Some(old), value) => *old = value,
            (None, value) => drop(old.insert(key, value)),
        }
    }
}

/// `new` in the type of `old`: an integer becomes a float if one is expected, a single name becomes a list of one. A
/// choice may change between a name, a number and a table; the configuration decides whether it is valid.
pub(super) fn fitted(old: &Value, new: Value) -> Result<Value, String> {
    match (old, new) {
        (Value::Float(_), Value::Integer(n)) => Ok(Value::Float(n as f64)),
        // The old number happened to be whole. If it must be, the configuration rejects the new one.
        (Value::Integer(_), new @ Value::Float(_)) => Ok(new),
        (Value::Array(_), Value::String(text)) => {
            let part = |part: &str| value_of(part).unwrap_or_else(|| Value::String(part.trim().to_owned()));
            Ok(Value::Array(text.split(',').map(part).collect()))
        }
        (Value::Array(_), single @ (Value::Integer(_) | Value::Float(_))) => Ok(Value::Array(vec![single])),
        // A choice with its name under `kind`, given by that name alone.
        (Value::Table(old), Value::String(name)) if old.contains_key("kind") => {
            Ok(Value::Table(Table::from_iter([("kind".to_owned(), Value::String(name))])))
        }
        (Value::String(_) | Value::Table(_), new) => Ok(new),
        (_, new @ Value::Table(_)) => Ok(new),
        (old, new) if old.same_type(&new) => Ok(new),
        (old, new) => Err(format!("expected {}, got {} ({new})", type_of(old), type_of(&new))),
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "text",
        Value::Integer(_) | Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}

/// A key of `given` that `understood` lacks: it was read but has no effect.
pub(super) fn without_effect(given: &Table, understood: &Table) -> Option<String> {
    given.iter().find_map(|(key, value)| match understood.get(key) {
        None => Some(key.clone()),
        Some(other) => value_without_effect(value, other).map(|inner| format!("{key}.{inner}")),
    })
}

fn value_without_effect(given: &Value, understood: &Value) -> Option<String> {
    match (given, understood) {
        (Value::Table(given), Value::Table(understood)) => without_effect(given, understood),
        (Value::Array(given), Value::Array(understood)) => {
            given.iter().zip(understood).find_map(|(given, understood)| value_without_effect(given, understood))
        }
        _ => None,
    }
}

/// The TOML value of `text`; `None` if it is not a TOML value.
pub(super) fn value_of(text: &str) -> Option<Value> {
    toml::from_str::<Table>(&format!("value = {text}")).ok().filter(|table| table.len() == 1)?.remove("value")
}

/// Reads a TOML file.
pub(super) fn read_table(path: &Path) -> Result<Table, ConfigError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| ConfigError::File { path: path.to_path_buf(), source })?;
    toml::from_str(&text).map_err(|error: toml::de::Error| ConfigError::Syntax {
        path: path.to_path_buf(),
        reason: error.to_string().trim_end().replace('\n', "; "),
    })
}
