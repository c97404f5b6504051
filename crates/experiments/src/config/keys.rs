//! Suggestions for misspelt keys.

use toml::{Table, Value};

/// Common short forms and the keys they stand for.
const SHORT_FORMS: &[(&str, &str)] = &[
    ("lr", "learning_rate"),
    ("wd", "weight_decay"),
    ("eps", "epsilon"),
    ("alpha", "slow_step_size"),
    ("k", "sync_period"),
];

/// Every dotted key of a configuration. Keys of rows have their short form `<row>.<key>`.
pub(super) fn all(config: &Table) -> Vec<String> {
    let mut keys = vec!["data.image_size".to_owned()];
    for (key, value) in config {
        match (key.as_str(), value) {
            ("rows", Value::Array(rows)) => rows.iter().for_each(|row| of_row(row, &mut keys)),
            (key, value) => below(key, value, &mut keys),
        }
    }
    keys
}

fn of_row(row: &Value, keys: &mut Vec<String>) {
    let Some(name) = row.get("name").and_then(Value::as_str) else { return };
    for part in ["inner", "around"] {
        let Some(choice) = row.get(part).and_then(Value::as_table) else { continue };
        choice.values().for_each(|settings| below(name, settings, keys));
        if let Some((kind, settings)) = choice.iter().next().filter(|_| part == "around") {
            below(kind, settings, keys);
        }
    }
}

fn below(key: &str, value: &Value, keys: &mut Vec<String>) {
    match value {
        Value::Table(inner) => inner.iter().for_each(|(k, value)| below(&format!("{key}.{k}"), value, keys)),
        _ => keys.push(key.to_owned()),
    }
}

/// The key most similar to `key`, if one is similar enough: the whole key, or its last part in the same or another
/// table.
pub(super) fn nearest(key: &str, keys: &[String]) -> Option<String> {
    let (table, name) = key.rsplit_once('.').unwrap_or(("", key));
    let long = SHORT_FORMS.iter().find(|(short, _)| *short == name).map_or(name, |(_, long)| long);
    let distance_to = |candidate: &String| {
        let (candidate_table, candidate_name) = candidate.rsplit_once('.').unwrap_or(("", candidate));
        let name_distance = distance(long, candidate_name);
        // A missing table is a small mistake; a wrong one counts letter by letter.
        let is_outer =
            candidate_table.strip_prefix(table).is_some_and(|rest| table.is_empty() || rest.starts_with('.'));
        let table_distance = if is_outer && candidate_table != table { 1 } else { distance(table, candidate_table) };
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
    use crate::config::{Config, Experiment, Protocol};

    #[test]
    fn distance_counts_letters() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("same", "same"), 0);
    }

    #[test]
    fn misspelt_keys_are_recognised() {
        let keys = all(&Config::for_protocol(Experiment::Cifar10, Protocol::Quick).to_table());
        for (wrong, right) in [
            ("train.epoch", "train.epochs"),
            ("epochs", "train.epochs"),
            ("sgd.lr", "sgd.learning_rate"),
            ("lookahead.sync_perod", "lookahead.sync_period"),
            ("lookahed.sync_period", "lookahead.sync_period"),
            ("adamw.beta_1", "adamw.beta1"),
            ("seed", "seeds"),
            ("data.imagesize", "data.image_size"),
            ("schedule.one-cycle.warm_up", "schedule.one-cycle.warmup"),
            ("schedule.warmup", "schedule.one-cycle.warmup"),
        ] {
            assert_eq!(nearest(wrong, &keys).as_deref(), Some(right), "{wrong}");
        }
        assert_eq!(nearest("utterly_unlike", &keys), None);
    }
}
