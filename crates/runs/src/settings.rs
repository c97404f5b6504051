//! A run's `config.toml` as a flat list, for tables that compare runs.

use std::collections::BTreeMap;

use toml::{Table, Value};

use crate::row::kind;

/// The settings of a `config.toml`, by dotted key, with values as in TOML and strings without quotes.
///
/// The inner optimizer's settings are under `optimizer` for every optimizer, so that SGD's learning rate stands beside
/// AdamW's; those of the wrapper around it are under the wrapper's name. Row, state policy and seed, which only name
/// the run, are left out. Numbers below 1e-4 are written with an exponent.
pub fn flat(config: &Table) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    let optimizer = old_optimizer(config);
    for (key, value) in config {
        match key.as_str() {
            "rows" => rows(value, &mut settings),
            "seeds" | "optimizers" | "states" => {}
            key if Some(key) == optimizer => flatten("optimizer", value, &mut settings),
            key => flatten(key, value, &mut settings),
        }
    }
    settings
}

fn rows(rows: &Value, settings: &mut BTreeMap<String, String>) {
    let Some(row) = rows.as_array().and_then(|rows| rows.first()) else { return };
    if let Some((_, Some(inner))) = row.get("inner").and_then(kind) {
        inner.iter().for_each(|(key, value)| flatten(&format!("optimizer.{key}"), value, settings));
    }
    if let Some((name, Some(around))) = row.get("around").and_then(kind) {
        let own = around.iter().filter(|(key, _)| *key != "state_policy");
        own.for_each(|(key, value)| flatten(&format!("{name}.{key}"), value, settings));
    }
}

/// In version 0.1, the optimizer's settings were in a table with the optimizer's name.
fn old_optimizer(config: &Table) -> Option<&str> {
    config.get("optimizers")?.as_array()?.first()?.as_str()
}

fn flatten(key: &str, value: &Value, settings: &mut BTreeMap<String, String>) {
    match value {
        Value::Table(inner) => inner.iter().for_each(|(k, value)| flatten(&format!("{key}.{k}"), value, settings)),
        Value::String(text) => drop(settings.insert(key.to_owned(), text.clone())),
        // TOML would write out all zeros.
        Value::Float(number) if *number != 0.0 && number.abs() < 1e-4 => {
            drop(settings.insert(key.to_owned(), format!("{number:e}")));
        }
        other => drop(settings.insert(key.to_owned(), other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<(String, String)> {
        flat(&text.parse().unwrap()).into_iter().collect()
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn settings_of_different_optimizers_stand_side_by_side() {
        let text = "seeds = [1]\n[[rows]]\nname = \"lookahead-sgd\"\ninner = { sgd = { learning_rate = 0.1 } }\n\
                    around = { lookahead = { sync_period = 5, state_policy = \"keep\" } }\n[train]\nepochs = 5";
        assert_eq!(
            of(text),
            [pair("lookahead.sync_period", "5"), pair("optimizer.learning_rate", "0.1"), pair("train.epochs", "5")]
        );
    }

    #[test]
    fn small_numbers_are_short() {
        assert_eq!(of("epsilon = 1e-8\ndecay = 0.0005"), [pair("decay", "0.0005"), pair("epsilon", "1e-8")]);
    }

    #[test]
    fn so_do_those_of_old_folders() {
        let text = "optimizers = [\"lookahead-sgd\"]\nstates = [\"keep\"]\nseeds = [1]\n[lookahead]\nsync_period = 5\n\
                    [lookahead-sgd]\nmomentum = 0.9";
        assert_eq!(of(text), [pair("lookahead.sync_period", "5"), pair("optimizer.momentum", "0.9")]);
    }
}
