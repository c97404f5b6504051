//! Expands a study's file into its cells.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use rayon::prelude::*;
use toml::{Table, Value};

use super::axis::{Axis, number, text};
use super::error::{MOST_BYTES, StudyError};
use super::file::{RowFile, StudyFile, dotted};
use super::patch::Patch;
use super::points::points;
use crate::config::{Config, Overrides, Row, RunConfig};

/// A study: every row with its settings.
#[derive(Debug, Clone)]
pub struct Study {
    /// Its name, that of its file.
    pub name: String,
    /// The file's content.
    pub file: StudyFile,
    /// The number of settings per row.
    pub trials: usize,
    /// The settings, trial by trial, each for all rows in the file's order.
    pub settings: Vec<Setting>,
}

/// One setting of one row.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The row's position in the file.
    pub row: usize,
    /// Number of the trial, from 0.
    pub trial: usize,
    /// The row's title, without the values.
    pub title: String,
    /// The values it sets, by key; keys of the row without the row's name.
    pub values: BTreeMap<String, Value>,
    /// The configuration of its runs: one row, no test images.
    config: Config,
}

impl Study {
    /// Reads a file and expands it; `device` is the device of every run.
    ///
    /// # Errors
    /// [`StudyError`], for example rows with unequal numbers of trials, or a protocol that holds no images out.
    pub fn read(path: &Path, device: &str) -> Result<Self, StudyError> {
        let name = path.file_stem().map_or_else(|| "study".to_owned(), |stem| stem.to_string_lossy().into_owned());
        Self::new(name, StudyFile::read(path)?, device)
    }

    /// Expands the content of a file.
    ///
    /// # Errors
    /// As [`Study::read`].
    pub fn new(name: String, file: StudyFile, device: &str) -> Result<Self, StudyError> {
        let points: Vec<Vec<BTreeMap<String, Value>>> =
            file.rows.iter().map(|row| points(&file, row)).collect::<Result<_, _>>()?;
        let trials = points[0].len();
        if let Some((row, points)) = file.rows.iter().zip(&points).find(|(_, points)| points.len() != trials) {
            let reason = format!(
                "it has {} settings, but `{}` has {trials}; a fair comparison needs equal numbers: set `trials`",
                points.len(),
                file.rows[0].name()
            );
            return Err(StudyError::Trials { row: row.name().to_owned(), reason });
        }
        let bases: Vec<Base> =
            (0..file.rows.len()).map(|row| Base::new(&file, row, &points[row], device)).collect::<Result<_, _>>()?;
        let settings = (0..trials * bases.len()).into_par_iter().map(|position| {
            let (trial, row) = (position / bases.len(), position % bases.len());
            setting(&file, &bases[row], row, trial, points[row][trial].clone())
        });
        let settings = settings.collect::<Result<Vec<Setting>, StudyError>>()?;
        let study = Self { name, file, trials, settings };
        // The largest seed makes the longest name.
        let seed = study.file.seeds.iter().chain(&study.file.final_seeds).max().copied().unwrap_or_default();
        let names: Vec<String> =
            study.settings.par_iter().map(|setting| setting.config.rows[0].id().run(seed)).collect();
        let mut known = HashSet::new();
        for name in names {
            if name.len() > MOST_BYTES {
                return Err(StudyError::LongName { name });
            }
            if !known.insert(name.clone()) {
                return Err(StudyError::Twins { name });
            }
        }
        Ok(study)
    }

    /// The cells: all settings with the first seed, then all with the next.
    pub fn cells(&self) -> impl Iterator<Item = (&Setting, u64)> {
        self.file.seeds.iter().flat_map(|&seed| self.settings.iter().map(move |setting| (setting, seed)))
    }

    /// Number of cells.
    pub fn len(&self) -> usize {
        self.settings.len() * self.file.seeds.len()
    }

    /// Whether there are no cells; always false.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The axes of a row, including those that apply to all rows.
    pub fn axes(&self, row: usize) -> BTreeMap<&str, &Axis> {
        axes(&self.file, &self.file.rows[row])
    }

    /// The axes at whose edge a setting lies, by the values that its row tried. A step size of 1 is no edge: there is
    /// none beyond it.
    pub fn edges(&self, setting: &Setting) -> Vec<&str> {
        let axes = self.axes(setting.row);
        let is_at_edge = |key: &str, axis: &Axis| {
            let Some(value) = setting.values.get(key) else { return false };
            let is_largest = last(key) == STEP_SIZE && number(value) == Some(1.0);
            let of_row = self.settings.iter().filter(|other| other.row == setting.row);
            !is_largest && axis.is_at_edge(value, of_row.filter_map(|other| other.values.get(key)))
        };
        axes.into_iter().filter(|(key, axis)| is_at_edge(key, axis)).map(|(key, _)| key).collect()
    }
}

/// The key of Lookahead's step size.
const STEP_SIZE: &str = "slow_step_size";
/// The key that a run folder's name contains anyway.
const STATE: &str = "state_policy";

/// The last part of a dotted key: an axis of all rows, such as `lookahead.sync_period`, has others before it.
fn last(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

impl Setting {
    /// The run of this setting with `seed`; it never reads the test images.
    pub fn run(&self, seed: u64) -> RunConfig {
        RunConfig { config: self.config.clone(), row: self.config.rows[0].clone(), seed }
    }

    /// The final run of this setting with `seed`; it reads the test images once, when it is finished.
    pub fn final_run(&self, seed: u64) -> RunConfig {
        let mut run = self.run(seed);
        run.config.data.set_test(true);
        run
    }

    /// The name of its folder without the seed.
    pub fn folder(&self) -> String {
        self.config.rows[0].folder()
    }

    /// Its values as text, over which figures are drawn.
    pub fn spelt(&self) -> Vec<(String, String)> {
        self.values.iter().map(|(key, value)| (key.clone(), text(value).unwrap_or_default())).collect()
    }

    /// Its values in one line: `learning_rate 0.4, sync_period 5`.
    pub fn words(&self) -> String {
        self.spelt().iter().map(|(key, value)| format!("{key} {value}")).collect::<Vec<_>>().join(", ")
    }
}

fn axes<'a>(file: &'a StudyFile, row: &'a RowFile) -> BTreeMap<&'a str, &'a Axis> {
    row.axes.iter().chain(&file.axes).map(|(key, axis)| (key.as_str(), axis)).collect()
}

/// The configuration that all settings of a row share.
fn base(file: &StudyFile, row: &RowFile, device: &str) -> Result<Config, StudyError> {
    let protocol = Config::for_protocol(file.experiment, file.protocol);
    let mut overrides = Overrides::new(&protocol);
    overrides.select(std::slice::from_ref(&row.row), &Config::all_rows(file.experiment, file.protocol))?;
    for (key, value) in dotted(&file.fixed) {
        overrides.put(&key, value, "[fixed]")?;
    }
    for (key, value) in dotted(&row.fixed) {
        overrides.put(&format!("{}.{key}", row.row), value, "[[rows]] fixed")?;
    }
    let mut config = overrides.finish()?;
    config.rows.truncate(1);
    if !config.data.has_valid() {
        let reason = format!(
            "the protocol {} holds no images out, but a sweep needs some to choose by; set \"data.held_out\" = 0.1 in [fixed]",
            file.protocol
        );
        return Err(StudyError::Key { key: "data.held_out".to_owned(), reason });
    }
    config.data.set_test(false);
    (config.device, config.seeds) = (device.to_owned(), file.seeds.clone());
    Ok(config)
}

/// A row with the patches of its axes' values.
#[derive(Debug)]
struct Base {
    config: Config,
    table: Table,
    /// Patches by key and value as text. A value without a patch is applied through the overrides.
    patches: HashMap<(String, String), Patch>,
}

impl Base {
    fn new(file: &StudyFile, row: usize, points: &[BTreeMap<String, Value>], device: &str) -> Result<Self, StudyError> {
        let config = base(file, &file.rows[row], device)?;
        let values: BTreeMap<(String, String), (&String, &Value)> =
            points.iter().flatten().map(|(key, value)| ((key.clone(), value.to_string()), (key, value))).collect();
        let patch = |(at, (key, value)): ((String, String), (&String, &Value))| {
            let patch = Patch::of(&config, &full(file, row, key), value);
            patch.map(|patch| patch.map(|patch| (at, patch))).transpose()
        };
        let patches = values.into_par_iter().filter_map(patch).collect::<Result<_, StudyError>>()?;
        Ok(Self { table: config.to_table(), config, patches })
    }

    /// The configuration at a point.
    fn at(&self, file: &StudyFile, row: usize, point: &BTreeMap<String, Value>) -> Result<Config, StudyError> {
        let patches: Option<Vec<&Patch>> =
            point.iter().map(|(key, value)| self.patches.get(&(key.clone(), value.to_string()))).collect();
        if let Some(patches) = patches {
            let mut table = self.table.clone();
            patches.iter().for_each(|patch| patch.lay(&mut table));
            // Each patch alone gave a valid configuration; whether they do together is checked with the setting's name.
            if let Ok(config) = Value::Table(table).try_into::<Config>() {
                return Ok(config);
            }
        }
        let mut overrides = Overrides::new(&self.config);
        for (key, value) in point {
            overrides.put(&full(file, row, key), value.clone(), "an axis")?;
        }
        Ok(overrides.finish()?)
    }
}

/// An axis's key as it is in the configuration.
fn full(file: &StudyFile, row: usize, key: &str) -> String {
    let row = &file.rows[row];
    if row.axes.contains_key(key) { format!("{}.{key}", row.row) } else { key.to_owned() }
}

fn setting(
    file: &StudyFile,
    base: &Base,
    row: usize,
    trial: usize,
    values: BTreeMap<String, Value>,
) -> Result<Setting, StudyError> {
    let of_row = &file.rows[row];
    let mut config = base.at(file, row, &values)?;
    let named = || values.iter().filter(|(key, _)| last(key) != STATE);
    let coordinate = |(key, value): (&String, &Value)| Some(format!("@{}={}", last(key), text(value)?));
    let name = named().filter_map(coordinate).fold(of_row.name().to_owned(), |name, part| name + &part);
    let words: Vec<String> = named().map(|(key, value)| format!("{key} {}", text(value).unwrap_or_default())).collect();
    let title = of_row.name.as_ref().unwrap_or(&config.rows[0].title).clone();
    let whole = if words.is_empty() { title.clone() } else { format!("{title}, {}", words.join(", ")) };
    config.rows = vec![Row { name, title: whole, ..config.rows[0].clone() }];
    // Whether the values are valid together, and whether the row's name in the study can name a folder.
    config.validate()?;
    Ok(Setting { row, trial, title, values, config })
}

#[cfg(test)]
mod tests;
