//! Changes to a protocol, key by key.

use std::path::Path;

use lookahead_data::Pipeline;
use toml::{Table, Value};

use super::error::ConfigError;
use super::experiment::Config;
use super::keys;
use super::names::{ModelName, Protocol};
use super::row::Row;
use super::tables::{Place, fitted, lay, number_of_choice, places, read_table, value_of, without_effect};

/// A configuration under construction: a protocol, changed by files, `--set` and flags.
///
/// After each change, the result must still be a configuration. An unknown key is an error that suggests the nearest
/// one. A list replaces the existing list, including `rows`. A table changes the keys it contains. A choice, such as a
/// schedule or a kind of momentum, replaces the existing choice.
///
/// | key | changes |
/// | --- | --- |
/// | `train.epochs` | the key of the configuration |
/// | `sgd.learning_rate` | the row `sgd`: its inner optimizer, else what wraps it; `rows.sgd.` reaches all its keys |
/// | `sgd.momentum`, `sgd.weight_decay` | with a number: the number of the row's kind of momentum or decay |
/// | `lookahead.sync_period` | every row with Lookahead except exponential averages |
/// | `rows.lookahead.sync_period` | the row `lookahead`, if there is one |
/// | `data.image_size` | the size of the images in both pipelines |
///
/// ```
/// use lookahead_experiments::{Config, Experiment, Overrides, Protocol};
/// let mut overrides = Overrides::new(&Config::for_protocol(Experiment::Cifar10, Protocol::Quick));
/// overrides.set("sgd.learning_rate=0.05")?;
/// assert_eq!(overrides.finish()?.rows[0].inner.learning_rate(), 0.05);
///
/// let error = Overrides::new(&Config::for_protocol(Experiment::Cifar10, Protocol::Quick))
///     .set("sgd.learning_rat=0.05").unwrap_err();
/// assert!(error.to_string().contains("did you mean `sgd.learning_rate`?"));
/// # Ok::<(), lookahead_experiments::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Overrides {
    table: Table,
}

impl Overrides {
    /// Starts from `base`.
    pub fn new(base: &Config) -> Self {
        Self { table: base.to_table() }
    }

    /// The protocol that a file names, if any. A wrong name is reported when the file is applied.
    ///
    /// # Errors
    /// [`ConfigError::File`], [`ConfigError::Syntax`].
    pub fn protocol_of(path: &Path) -> Result<Option<Protocol>, ConfigError> {
        Ok(read_table(path)?.get("protocol").and_then(|value| value.clone().try_into().ok()))
    }

    /// Applies a TOML file.
    ///
    /// # Errors
    /// [`ConfigError::File`], [`ConfigError::Syntax`], [`ConfigError::UnknownKey`], [`ConfigError::WrongValue`].
    pub fn file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let origin = path.display().to_string();
        read_table(path)?.into_iter().try_for_each(|(key, value)| self.put(&key, value, &origin))
    }

    /// Selects these rows, in this order, from the configuration or else from `all`.
    ///
    /// # Errors
    /// [`ConfigError::UnknownRow`].
    pub fn select(&mut self, names: &[String], all: &[Row]) -> Result<(), ConfigError> {
        let config = self.parse("rows", "--optimizers")?;
        let mut rows: Vec<Row> = Vec::new();
        for name in names {
            let named = |rows: &[Row]| rows.iter().filter(|row| row.name == *name).cloned().collect::<Vec<_>>();
            let mut found = named(&config.rows);
            if found.is_empty() {
                found = named(all);
            }
            if found.is_empty() {
                let mut known: Vec<String> = config.rows.iter().chain(all).map(|row| row.name.clone()).collect();
                known.sort();
                known.dedup();
                let suggestion = keys::nearest(name, &known);
                return Err(ConfigError::UnknownRow { name: name.clone(), suggestion, known });
            }
            rows.extend(found);
        }
        self.table = Config { rows, ..config }.to_table();
        Ok(())
    }

    /// Applies one `key=value`. The value is TOML, or a list of TOML values without brackets; anything else is read as
    /// text.
    ///
    /// # Errors
    /// [`ConfigError::NotAnAssignment`], [`ConfigError::UnknownKey`], [`ConfigError::WrongValue`] or
    /// [`ConfigError::Conflict`].
    pub fn set(&mut self, assignment: &str) -> Result<(), ConfigError> {
        let (key, text) =
            assignment.split_once('=').ok_or_else(|| ConfigError::NotAnAssignment { given: assignment.to_owned() })?;
        let (key, text) = (key.trim(), text.trim());
        // Users type `1,2,3` for a list.
        let value = value_of(text).or_else(|| value_of(&format!("[{text}]")).filter(|_| text.contains(',')));
        if value.is_none() && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let reason = format!("{text} is too large: integers must be below 2^63");
            return Err(ConfigError::WrongValue { key: key.to_owned(), origin: "--set".to_owned(), reason });
        }
        self.put(key, value.unwrap_or_else(|| Value::String(text.to_owned())), "--set")
    }

    /// Applies one value, as a flag does.
    ///
    /// # Errors
    /// [`ConfigError::UnknownKey`], [`ConfigError::WrongValue`], [`ConfigError::Conflict`].
    pub fn put(&mut self, key: &str, value: impl Into<Value>, origin: &str) -> Result<(), ConfigError> {
        let value = value.into();
        if key == "data.image_size" {
            return self.put_image_size(&value, origin);
        }
        // The parts of one network are not those of another, so its name alone changes them too.
        if let ("model.name", Ok(name)) = (key, value.clone().try_into()) {
            return self.model(name);
        }
        let mut places = places(&self.table, key);
        if matches!(value, Value::Integer(_) | Value::Float(_)) {
            let numbers: Vec<Vec<Place>> = places.iter().filter_map(|all| number_of_choice(&self.table, all)).collect();
            places.extend(numbers);
        }
        // Likeliest place first. The first that gives a valid configuration is used; if none does, the first error is
        // reported.
        let mut reasons = Vec::new();
        for all in &places {
            match self.try_put(all, &value, key, origin) {
                Ok(table) => {
                    self.table = table;
                    return Ok(());
                }
                Err(reason) => reasons.push(reason),
            }
        }
        let Some(reason) = reasons.into_iter().next() else { return Err(self.no_lookahead(key, origin)) };
        match value {
            // With several keys, find and name the one that fails.
            Value::Table(table) => {
                table.into_iter().try_for_each(|(inner, value)| self.put(&format!("{key}.{inner}"), value, origin))
            }
            // serde's wording for a number where only names are valid. Given as text, the error lists the names.
            Value::Integer(_) | Value::Float(_) if reason.to_string().contains("expected string only") => {
                self.put(key, value.to_string(), origin)
            }
            _ => Err(reason),
        }
    }

    /// Selects the network of this name; it keeps the parts of the present one that it has too.
    ///
    /// # Errors
    /// [`ConfigError::WrongValue`].
    pub fn model(&mut self, name: ModelName) -> Result<(), ConfigError> {
        let config = self.parse("model.name", "--model")?;
        self.table = Config { model: config.model.renamed(name), ..config }.to_table();
        Ok(())
    }

    /// The validated configuration.
    ///
    /// # Errors
    /// [`ConfigError::OutOfRange`], [`ConfigError::Conflict`].
    pub fn finish(self) -> Result<Config, ConfigError> {
        let mut config = self.parse("", "")?;
        for row in &mut config.rows {
            if row.title.is_empty() {
                row.title.clone_from(&row.name);
            }
        }
        config.validate()?;
        Ok(config)
    }

    /// The table with `value` at all of `places`: merged with the existing value or, if that gives no configuration, in
    /// its place.
    fn try_put(&self, all: &[Place], value: &Value, key: &str, origin: &str) -> Result<Table, ConfigError> {
        let wrong = |reason| ConfigError::WrongValue { key: key.to_owned(), origin: origin.to_owned(), reason };
        let attempt = |instead: bool| {
            let mut table = self.table.clone();
            for place in all {
                let value = match place.get(&self.table) {
                    Some(old) => fitted(old, value.clone()).map_err(wrong)?,
                    None => value.clone(),
                };
                lay(&mut table, place, value, instead);
            }
            parse(&table, key, origin).map(|_| table)
        };
        let merged = match attempt(false) {
            Ok(table) => return Ok(table),
            Err(error) => error,
        };
        attempt(true).map_err(|instead| {
            let is_known = all.iter().any(|place| place.get(&self.table).is_some());
            // serde's wording for an unknown key of a table and for an unknown choice.
            let is_unknown = [&merged, &instead].iter().any(|error| error.to_string().contains("unknown "));
            match (is_known, is_unknown) {
                (true, _) => merged,
                (false, false) => instead,
                (false, true) => ConfigError::UnknownKey {
                    key: key.to_owned(),
                    origin: origin.to_owned(),
                    suggestion: keys::nearest(key, &keys::all(&self.table)),
                },
            }
        })
    }

    /// The error for a key of Lookahead if no row has Lookahead.
    fn no_lookahead(&self, key: &str, origin: &str) -> ConfigError {
        let names = |config: Config| config.rows.iter().map(Row::folder).collect::<Vec<_>>().join(", ");
        self.parse(key, origin).map_or_else(
            |error| error,
            |config| ConfigError::Conflict {
                first: format!("`{key}`"),
                second: format!("the rows {}", names(config)),
                why: "none of them uses Lookahead; select a row that does with --optimizers".to_owned(),
            },
        )
    }

    /// Sets `data.image_size`, which is not a key of the configuration: the pipelines hold the size.
    fn put_image_size(&mut self, value: &Value, origin: &str) -> Result<(), ConfigError> {
        let key = || "data.image_size".to_owned();
        let side =
            value.as_integer().and_then(|side| usize::try_from(side).ok()).ok_or_else(|| ConfigError::WrongValue {
                key: key(),
                origin: origin.to_owned(),
                reason: format!("expected a whole number of pixels, got {value}"),
            })?;
        let mut config = self.parse("data.image_size", origin)?;
        let resized = |pipeline: &Pipeline, name: &str| match pipeline.with_side(side) {
            Ok(Some(pipeline)) => Ok(pipeline),
            Ok(None) => Err(ConfigError::Conflict {
                first: "`data.image_size`".to_owned(),
                second: format!("`data.{name}`"),
                why: format!("no transform in it sets the size of images ({pipeline})"),
            }),
            Err(error) => {
                Err(ConfigError::WrongValue { key: key(), origin: origin.to_owned(), reason: error.to_string() })
            }
        };
        let Some(images) = config.data.images_mut() else {
            return Err(ConfigError::Conflict {
                first: "`data.image_size`".to_owned(),
                second: "data.kind = \"text\"".to_owned(),
                why: "a text has no images".to_owned(),
            });
        };
        images.train = resized(&images.train, "train")?;
        images.valid = resized(&images.valid, "valid")?;
        self.table = config.to_table();
        Ok(())
    }

    fn parse(&self, key: &str, origin: &str) -> Result<Config, ConfigError> {
        parse(&self.table, key, origin)
    }
}

fn parse(table: &Table, key: &str, origin: &str) -> Result<Config, ConfigError> {
    let wrong = |reason| ConfigError::WrongValue { key: key.to_owned(), origin: origin.to_owned(), reason };
    let read: Result<Config, toml::de::Error> = Value::Table(table.clone()).try_into();
    let config = read.map_err(|error| wrong(error.message().to_owned()))?;
    // serde ignores keys next to a choice that has no settings.
    match without_effect(table, &config.to_table()) {
        None => Ok(config),
        Some(field) => Err(wrong(format!("unknown field `{field}`: it would have no effect"))),
    }
}

#[cfg(test)]
mod tests;
