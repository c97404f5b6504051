//! Changes to a protocol, laid over it key by key.

use std::path::Path;

use lookahead_data::Pipeline;
use toml::{Table, Value};

use super::error::ConfigError;
use super::experiment::Config;
use super::keys;
use super::names::{ModelName, Protocol};
use super::row::Row;
use super::tables::{Place, fitted, lay, number_of_choice, places, read_table, value_of, without_effect};

/// A configuration under construction: a protocol with files, `--set` and flags laid over it.
///
/// Whatever is laid over it must give a configuration again; a key that there is not is an error that suggests the nearest one.
/// A list replaces the list that was there, `rows` included; a table changes the keys it has; a choice, such as a schedule
/// or a kind of momentum, replaces the choice.
///
/// | key | changes |
/// | --- | --- |
/// | `train.epochs` | the key of the configuration |
/// | `sgd.learning_rate` | the row `sgd`: its inner optimizer, else what stands around it; all of `rows.sgd.` can be reached too |
/// | `sgd.momentum`, `sgd.weight_decay` | given a number: the number of the kind of momentum or decay that the row has |
/// | `lookahead.sync_period` | every row with Lookahead around it |
/// | `data.image_size` | the side of the images in both pipelines |
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

    /// The protocol that a file names, where it names one; a wrong name is reported when the file is laid over.
    ///
    /// # Errors
    /// [`ConfigError::File`], [`ConfigError::Syntax`].
    pub fn protocol_of(path: &Path) -> Result<Option<Protocol>, ConfigError> {
        Ok(read_table(path)?.get("protocol").and_then(|value| value.clone().try_into().ok()))
    }

    /// Lays a TOML file over it.
    ///
    /// # Errors
    /// [`ConfigError::File`], [`ConfigError::Syntax`], [`ConfigError::UnknownKey`], [`ConfigError::WrongValue`].
    pub fn file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let origin = path.display().to_string();
        read_table(path)?.into_iter().try_for_each(|(key, value)| self.put(&key, value, &origin))
    }

    /// Compares these rows alone, in this order: those there are, else those of `all`.
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

    /// Lays one `key=value` over it. The value is TOML, or a list of such values without its brackets; what is no TOML is taken as text.
    ///
    /// # Errors
    /// [`ConfigError::NotAnAssignment`], [`ConfigError::UnknownKey`], [`ConfigError::WrongValue`], [`ConfigError::Conflict`].
    pub fn set(&mut self, assignment: &str) -> Result<(), ConfigError> {
        let (key, text) =
            assignment.split_once('=').ok_or_else(|| ConfigError::NotAnAssignment { given: assignment.to_owned() })?;
        let (key, text) = (key.trim(), text.trim());
        // `1,2,3` is what one types for a list.
        let value = value_of(text).or_else(|| value_of(&format!("[{text}]")).filter(|_| text.contains(',')));
        if value.is_none() && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let reason = format!("{text} is too large: whole numbers end below 2^63");
            return Err(ConfigError::WrongValue { key: key.to_owned(), origin: "--set".to_owned(), reason });
        }
        self.put(key, value.unwrap_or_else(|| Value::String(text.to_owned())), "--set")
    }

    /// Lays one value over it, as a flag does.
    ///
    /// # Errors
    /// [`ConfigError::UnknownKey`], [`ConfigError::WrongValue`], [`ConfigError::Conflict`].
    pub fn put(&mut self, key: &str, value: impl Into<Value>, origin: &str) -> Result<(), ConfigError> {
        let value = value.into();
        if key == "data.image_size" {
            return self.put_image_size(&value, origin);
        }
        let mut places = places(&self.table, key);
        if matches!(value, Value::Integer(_) | Value::Float(_)) {
            let numbers: Vec<Vec<Place>> = places.iter().filter_map(|all| number_of_choice(&self.table, all)).collect();
            places.extend(numbers);
        }
        // In the order of likelihood: the first that gives a configuration counts, else the first reason against.
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
            // Of several keys the one at fault is to be named.
            Value::Table(table) => {
                table.into_iter().try_for_each(|(inner, value)| self.put(&format!("{key}.{inner}"), value, origin))
            }
            _ => Err(reason),
        }
    }

    /// Takes the network of this name, with the parts of the one there is as far as it has them.
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

    /// The table with `value` in all of `places`, merged into what is there or, where that is no configuration, instead of it.
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
            // serde's words for a key that a table does not have, and for a choice that there is not.
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

    /// What is wrong with a key of Lookahead's where no row has one.
    fn no_lookahead(&self, key: &str, origin: &str) -> ConfigError {
        let names = |config: Config| config.rows.iter().map(Row::folder).collect::<Vec<_>>().join(", ");
        self.parse(key, origin).map_or_else(
            |error| error,
            |config| ConfigError::Conflict {
                first: format!("`{key}`"),
                second: format!("the rows {}", names(config)),
                why: "none of them is a Lookahead".to_owned(),
            },
        )
    }

    /// `data.image_size` is no key of the configuration: the size is where the pipelines put it.
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
                why: format!("no transform there gives images a side of its own ({pipeline})"),
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
    // serde passes over what stands beside a choice without settings.
    match without_effect(table, &config.to_table()) {
        None => Ok(config),
        Some(field) => Err(wrong(format!("unknown field `{field}`: it would do nothing"))),
    }
}

#[cfg(test)]
mod tests;
