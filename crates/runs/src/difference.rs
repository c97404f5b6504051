//! The first difference between two configurations.

use toml::{Table, Value};

/// The first key in which two tables differ, with its old and new value. The keys of `now` come first, then those that
/// only `was` has. Lists of one table, such as a run's rows, are compared key by key, too.
pub(crate) fn first_difference(was: &Table, now: &Table) -> Option<(String, String, String)> {
    let absent = || "not set".to_owned();
    for (key, value) in now {
        let inner = match (was.get(key), value) {
            (Some(Value::Table(was)), Value::Table(now)) => first_difference(was, now),
            (Some(Value::Array(was)), Value::Array(now)) => match (was.as_slice(), now.as_slice()) {
                ([Value::Table(was)], [Value::Table(now)]) => first_difference(was, now),
                (was, now) if was == now => None,
                _ => return Some((key.clone(), Value::Array(was.clone()).to_string(), value.to_string())),
            },
            (Some(was), now) if was == now => None,
            (was, now) => return Some((key.clone(), was.map_or_else(absent, Value::to_string), now.to_string())),
        };
        if let Some((inner, was, now)) = inner {
            return Some((format!("{key}.{inner}"), was, now));
        }
    }
    was.iter().find(|(key, _)| !now.contains_key(*key)).map(|(key, value)| (key.clone(), value.to_string(), absent()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(was: &str, now: &str) -> Option<(String, String, String)> {
        first_difference(&was.parse().unwrap(), &now.parse().unwrap())
    }

    #[test]
    fn the_first_difference_is_named_by_its_dotted_key() {
        let three = |key: &str, was: &str, now: &str| Some((key.to_owned(), was.to_owned(), now.to_owned()));
        assert_eq!(between("a = 1\n[b]\nc = 2", "a = 1\n[b]\nc = 3"), three("b.c", "2", "3"));
        assert_eq!(between("a = 1", "a = 1\nb = 2"), three("b", "not set", "2"));
        assert_eq!(between("a = 1\nb = 2", "a = 1"), three("b", "2", "not set"));
        assert_eq!(between("rows = [{ x = 1 }]", "rows = [{ x = 2 }]"), three("rows.x", "1", "2"));
        assert_eq!(between("rows = [{ x = 1 }]", "rows = []"), three("rows", "[{ x = 1 }]", "[]"));
        assert_eq!(between("a = [1, 2]\n[b]", "a = [1, 2]\n[b]"), None);
    }
}
