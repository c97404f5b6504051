//! The change that one value of one axis makes in a configuration, found once and applied many times.

use toml::{Table, Value};

use super::error::StudyError;
use crate::config::{Config, Overrides};

/// A step into a table or a list.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    At(usize),
}

/// A change of one number, word or boolean, or no change.
#[derive(Debug, Clone)]
pub(super) struct Patch(Option<(Vec<Step>, Value)>);

impl Patch {
    /// The change that setting `key` to `value` makes in `base`; `None` if it changes more than one plain value, as
    /// when a choice is replaced.
    ///
    /// # Errors
    /// A key or a value that the configuration rejects.
    pub(super) fn of(base: &Config, key: &str, value: &Value) -> Result<Option<Self>, StudyError> {
        let mut overrides = Overrides::new(base);
        overrides.put(key, value.clone(), "an axis")?;
        let (before, after) = (Value::Table(base.to_table()), Value::Table(overrides.finish()?.to_table()));
        let mut changes = Vec::new();
        let is_plain = changed(&before, &after, &mut Vec::new(), &mut changes);
        Ok((is_plain && changes.len() < 2).then(|| Self(changes.pop())))
    }

    /// Applies it to `table`, which has the form of the configuration it was found with.
    pub(super) fn lay(&self, table: &mut Table) {
        let Some((path, new)) = &self.0 else { return };
        let Some((Step::Key(first), rest)) = path.split_first() else { return };
        let inner = rest.iter().try_fold(table.get_mut(first), |value, step| match (value, step) {
            (Some(Value::Table(table)), Step::Key(key)) => Some(table.get_mut(key)),
            (Some(Value::Array(list)), Step::At(at)) => Some(list.get_mut(*at)),
            _ => None,
        });
        if let Some(Some(old)) = inner {
            *old = new.clone();
        }
    }
}

/// Adds the plain values that differ to `changes`; false if the two do not have the same form.
fn changed(before: &Value, after: &Value, path: &mut Vec<Step>, changes: &mut Vec<(Vec<Step>, Value)>) -> bool {
    match (before, after) {
        (Value::Table(before), Value::Table(after)) => {
            before.len() == after.len()
                && before.iter().all(|(key, old)| {
                    path.push(Step::Key(key.clone()));
                    let same = after.get(key).is_some_and(|new| changed(old, new, path, changes));
                    path.pop();
                    same
                })
        }
        (Value::Array(before), Value::Array(after)) => {
            before.len() == after.len()
                && before.iter().zip(after).enumerate().all(|(at, (old, new))| {
                    path.push(Step::At(at));
                    let same = changed(old, new, path, changes);
                    path.pop();
                    same
                })
        }
        (old, new) => {
            if old != new {
                changes.push((path.clone(), new.clone()));
            }
            old.same_type(new)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Experiment, Protocol};

    fn base() -> Config {
        let mut config = Config::for_protocol(Experiment::Demo, Protocol::Quick);
        config.rows.retain(|row| row.name == "lookahead-sgd");
        config
    }

    /// Whatever is found once gives what the overrides give.
    #[test]
    fn patches_are_what_overrides_do() {
        for (key, value) in [
            ("lookahead-sgd.learning_rate", Value::Float(0.7)),
            ("lookahead-sgd.sync_period", Value::Integer(9)),
            ("lookahead-sgd.state_policy", "reset".into()),
            ("lookahead-sgd.weight_decay", Value::Float(0.25)),
            ("train.epochs", Value::Integer(7)),
        ] {
            let patch = Patch::of(&base(), key, &value).unwrap().unwrap();
            let mut table = base().to_table();
            patch.lay(&mut table);
            let mut overrides = Overrides::new(&base());
            overrides.put(key, value, "a test").unwrap();
            assert_eq!(table, overrides.finish().unwrap().to_table(), "{key}");
            assert_ne!(table, base().to_table(), "{key}");
        }
    }

    #[test]
    fn a_choice_that_is_replaced_is_no_patch() {
        assert!(Patch::of(&base(), "schedule", &"constant".into()).unwrap().is_none());
        assert!(Patch::of(&base(), "train.epoch", &Value::Integer(4)).is_err());
        let same = Patch::of(&base(), "train.epochs", &Value::Integer(base().train.epochs as i64)).unwrap().unwrap();
        assert!(same.0.is_none());
    }
}
