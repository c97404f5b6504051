//! Changes to a protocol, laid over it key by key.

use std::path::Path;

use toml::{Table, Value};

use super::{Config, ConfigError};

/// A configuration under construction: a protocol's table with files, `--set` and flags laid over it.
///
/// A key that the protocol lacks is an error that suggests the nearest one.
///
/// ```
/// use lookahead_experiments::{Config, Experiment, Overrides, Protocol};
/// let mut overrides = Overrides::new(&Config::for_protocol(Experiment::Cifar10, Protocol::Quick));
/// overrides.set("sgd.learning_rate=0.05")?;
/// assert_eq!(overrides.finish()?.sgd.learning_rate, 0.05);
///
/// let error = Overrides::new(&Config::for_protocol(Experiment::Cifar10, Protocol::Quick))
///     .set("sgd.learning_rat=0.05").unwrap_err();
/// assert!(error.to_string().contains("did you mean `sgd.learning_rate`?"));
/// # Ok::<(), lookahead_experiments::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Overrides {
    table: Table,
    keys: Vec<String>,
    origin: String,
}

impl Overrides {
    /// Starts from `base`.
    pub fn new(base: &Config) -> Self {
        let table = base.to_table();
        let mut keys = Vec::new();
        list_keys(&table, "", &mut keys);
        Self { table, keys, origin: String::new() }
    }

    /// Lays a TOML file over it.
    ///
    /// # Errors
    /// [`ConfigError::File`], [`ConfigError::Syntax`], [`ConfigError::UnknownKey`], [`ConfigError::WrongValue`].
    pub fn file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let table = read_table(path)?;
        self.lay_over(&table, "", &path.display().to_string())
    }

    /// Lays one `key=value` over it. The value is TOML; what is no TOML is taken as text.
    ///
    /// # Errors
    /// [`ConfigError::NotAnAssignment`], [`ConfigError::UnknownKey`], [`ConfigError::WrongValue`].
    pub fn set(&mut self, assignment: &str) -> Result<(), ConfigError> {
        let (key, text) =
            assignment.split_once('=').ok_or_else(|| ConfigError::NotAnAssignment { given: assignment.to_owned() })?;
        let (key, text) = (key.trim(), text.trim());
        let value = match toml::from_str::<Table>(&format!("value = {text}")) {
            Ok(mut table) => table.remove("value").unwrap_or_else(|| Value::String(text.to_owned())),
            Err(_) => Value::String(text.to_owned()),
        };
        self.put(key, value, "--set")
    }

    /// Lays one value over it, as a flag does.
    ///
    /// # Errors
    /// [`ConfigError::UnknownKey`] and [`ConfigError::WrongValue`].
    pub fn put(&mut self, key: &str, value: impl Into<Value>, origin: &str) -> Result<(), ConfigError> {
        let value = value.into();
        if let Value::Table(table) = &value {
            return self.lay_over(table, &format!("{key}."), origin);
        }
        let unknown = |keys: &[String]| ConfigError::UnknownKey {
            key: key.to_owned(),
            origin: origin.to_owned(),
            suggestion: nearest(key, keys),
        };
        let mut slot = &mut self.table;
        let mut parts = key.split('.').peekable();
        while let Some(part) = parts.next() {
            let Some(found) = slot.get_mut(part) else { return Err(unknown(&self.keys)) };
            match (found, parts.peek()) {
                (Value::Table(inner), Some(_)) => slot = inner,
                (Value::Table(_), None) => {
                    return Err(ConfigError::WrongValue {
                        key: key.to_owned(),
                        origin: origin.to_owned(),
                        reason: "is a table; set one of its keys".to_owned(),
                    });
                }
                (_, Some(_)) => return Err(unknown(&self.keys)),
                (old, None) => {
                    *old = fitted(old, value).map_err(|reason| ConfigError::WrongValue {
                        key: key.to_owned(),
                        origin: origin.to_owned(),
                        reason,
                    })?;
                    self.origin = origin.to_owned();
                    return self.check_names(key);
                }
            }
        }
        Err(unknown(&self.keys))
    }

    /// The validated configuration.
    ///
    /// # Errors
    /// [`ConfigError::OutOfRange`], [`ConfigError::Conflict`].
    pub fn finish(self) -> Result<Config, ConfigError> {
        let config = self.parse("")?;
        config.validate()?;
        Ok(config)
    }

    fn lay_over(&mut self, table: &Table, prefix: &str, origin: &str) -> Result<(), ConfigError> {
        table.iter().try_for_each(|(key, value)| self.put(&format!("{prefix}{key}"), value.clone(), origin))
    }

    /// Names (of optimizers, schedules, ...) are checked at once, so that the report names the key at fault.
    fn check_names(&self, key: &str) -> Result<(), ConfigError> {
        self.parse(key).map(drop)
    }

    fn parse(&self, key: &str) -> Result<Config, ConfigError> {
        Value::Table(self.table.clone()).try_into().map_err(|error: toml::de::Error| ConfigError::WrongValue {
            key: key.to_owned(),
            origin: self.origin.clone(),
            reason: error.message().to_owned(),
        })
    }
}

/// Reads a file of TOML.
pub(crate) fn read_table(path: &Path) -> Result<Table, ConfigError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| ConfigError::File { path: path.to_path_buf(), source })?;
    toml::from_str(&text).map_err(|error: toml::de::Error| ConfigError::Syntax {
        path: path.to_path_buf(),
        reason: error.to_string().trim_end().replace('\n', "; "),
    })
}

/// `new` in the type of `old`: whole numbers become fractions where one is expected, a single name a list of one.
fn fitted(old: &Value, new: Value) -> Result<Value, String> {
    match (old, new) {
        (Value::Float(_), Value::Integer(n)) => Ok(Value::Float(n as f64)),
        (Value::Array(_), Value::Array(new)) => Ok(Value::Array(new)),
        (Value::Array(_), Value::String(text)) => {
            Ok(Value::Array(text.split(',').map(|part| Value::String(part.trim().to_owned())).collect()))
        }
        (Value::Array(_), single @ Value::Integer(_)) => Ok(Value::Array(vec![single])),
        (old, new) if old.same_type(&new) => Ok(new),
        (old, new) => Err(format!("expected {}, got {} ({new})", kind(old), kind(&new))),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}

fn list_keys(table: &Table, prefix: &str, keys: &mut Vec<String>) {
    for (key, value) in table {
        match value {
            Value::Table(inner) => list_keys(inner, &format!("{prefix}{key}."), keys),
            _ => keys.push(format!("{prefix}{key}")),
        }
    }
}

/// Short forms that people type, and what they mean.
const SHORT_FORMS: &[(&str, &str)] = &[
    ("lr", "learning_rate"),
    ("wd", "weight_decay"),
    ("eps", "epsilon"),
    ("alpha", "slow_step_size"),
    ("k", "sync_period"),
];

/// The key most like `key`, where one is like it at all: the whole key, or the last part in the right or any table.
fn nearest(key: &str, keys: &[String]) -> Option<String> {
    let (table, name) = key.rsplit_once('.').unwrap_or(("", key));
    let long = SHORT_FORMS.iter().find(|(short, _)| *short == name).map_or(name, |(_, long)| long);
    let distance_to = |candidate: &String| {
        let (candidate_table, candidate_name) = candidate.rsplit_once('.').unwrap_or(("", candidate));
        let name_distance = distance(long, candidate_name);
        // A forgotten table is a small slip, a wrong one counts letter by letter.
        let table_distance =
            if table.is_empty() && !candidate_table.is_empty() { 1 } else { distance(table, candidate_table) };
        name_distance + table_distance
    };
    let best = keys.iter().min_by_key(|candidate| distance_to(candidate))?;
    (distance_to(best) <= 1 + long.len() / 3).then(|| best.clone())
}

/// Levenshtein's distance: single-letter insertions, deletions and replacements.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{Experiment, OptimizerName, Protocol};

    fn quick() -> Overrides {
        Overrides::new(&Config::for_protocol(Experiment::Cifar10, Protocol::Quick))
    }

    #[test]
    fn distance_counts_letters() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("same", "same"), 0);
    }

    #[test]
    fn misspelt_keys_get_the_right_suggestion() {
        for (wrong, right) in [
            ("train.epoch", "train.epochs"),
            ("epochs", "train.epochs"),
            ("sgd.lr", "sgd.learning_rate"),
            ("lookahead.sync_perod", "lookahead.sync_period"),
            ("lookahed.sync_period", "lookahead.sync_period"),
            ("adamw.beta_1", "adamw.beta1"),
            ("optimizer", "optimizers"),
        ] {
            let message = quick().put(wrong, 1, "--set").unwrap_err().to_string();
            assert!(message.contains(&format!("did you mean `{right}`?")), "{message}");
        }
        let message = quick().put("utterly_unlike", 1, "--set").unwrap_err().to_string();
        assert!(message.contains("--print-config lists all keys"), "{message}");
    }

    #[test]
    fn values_take_the_type_of_what_they_replace() {
        let mut o = quick();
        o.set("sgd.learning_rate=1").unwrap();
        o.set("optimizers=sgd, lookahead-sgd").unwrap();
        o.set("seeds=7").unwrap();
        o.set("sgd.nesterov=false").unwrap();
        let config = o.finish().unwrap();
        assert_eq!(config.sgd.learning_rate, 1.0);
        assert_eq!(config.optimizers, [OptimizerName::Sgd, OptimizerName::LookaheadSgd]);
        assert_eq!((config.seeds.as_slice(), config.sgd.nesterov), (&[7][..], false));
    }

    #[test]
    fn wrong_values_name_key_and_origin() {
        let message = quick().set("train.epochs=many").unwrap_err().to_string();
        assert_eq!(message, "`train.epochs`: expected a whole number, got text (\"many\") (from --set)");
        let message = quick().set("optimizers=sdg").unwrap_err().to_string();
        assert!(message.starts_with("`optimizers`: unknown variant `sdg`"), "{message}");
        assert!(quick().set("train.epochs").unwrap_err().to_string().contains("expected key=value"));
        assert!(quick().set("train=1").unwrap_err().to_string().contains("is a table"));
        let message = quick().set("train.epochs=-1").unwrap_err().to_string();
        assert!(message.contains("`train.epochs`"), "{message}");
    }

    #[test]
    fn the_printed_configuration_is_a_valid_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        let config = Config::for_protocol(Experiment::Cifar10, Protocol::Paper);
        std::fs::write(&path, toml::to_string(&config.to_table()).unwrap()).unwrap();
        let mut o = quick();
        o.file(&path).unwrap();
        assert_eq!(o.finish().unwrap(), config);
    }
}
