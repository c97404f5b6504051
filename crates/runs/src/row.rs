//! The row of a table that a run belongs to.

use toml::{Table, Value};

/// The row of a run: an inner optimizer and, optionally, a wrapper around it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RowId {
    /// The row's name, such as `lookahead-sgd`.
    pub name: String,
    /// Display name, such as `Lookahead/SGD`.
    pub title: String,
    /// Kind of the inner optimizer, such as `sgd`.
    pub inner: String,
    /// Kind of the wrapper: `nothing`, `lookahead`, `average`, ...
    pub around: String,
    /// Lookahead's policy for the inner state at a sync: `keep`, `reset` or `interpolate`. Empty without Lookahead, and
    /// if Lookahead does not pull the fast weights back.
    pub state: String,
}

impl RowId {
    /// The title and, in brackets, the state policy: the spelling in tables, pages and terminals.
    ///
    /// ```
    /// use lookahead_runs::RowId;
    /// assert_eq!(RowId::classic("lookahead-sgd", "reset").label(), "Lookahead/SGD (reset)");
    /// assert_eq!(RowId::classic("sgd", "").label(), "SGD");
    /// ```
    pub fn label(&self) -> String {
        if self.state.is_empty() { self.title.clone() } else { format!("{} ({})", self.title, self.state) }
    }

    /// The row's part of a run folder's name: `<name>[-<state>]`.
    pub fn folder(&self) -> String {
        if self.state.is_empty() { self.name.clone() } else { format!("{}-{}", self.name, self.state) }
    }

    /// Name of the run with this seed and of its folder: `<name>[-<state>]-s<seed>`.
    ///
    /// ```
    /// use lookahead_runs::RowId;
    /// assert_eq!(RowId::classic("lookahead-sgd", "reset").run(3), "lookahead-sgd-reset-s3");
    /// assert_eq!(RowId::classic("sgd", "").run(1), "sgd-s1");
    /// ```
    pub fn run(&self, seed: u64) -> String {
        format!("{}-s{seed}", self.folder())
    }

    /// True if nothing is wrapped around the optimizer.
    pub fn is_plain(&self) -> bool {
        self.around == NOTHING
    }

    /// The row with this name, as in published tables and in run folders of version 0.1, which named optimizers instead
    /// of rows.
    ///
    /// `lookahead-` at the start of `name` means Lookahead around the rest, `polyak` an average around SGD. `state` is
    /// ignored without Lookahead. An unknown name is its own title.
    pub fn classic(name: &str, state: &str) -> Self {
        let (around, inner) = match (name.strip_prefix("lookahead-"), name) {
            (Some(inner), _) => ("lookahead", inner),
            (None, "polyak") => ("average", "sgd"),
            (None, inner) => (NOTHING, inner),
        };
        let inner_title = TITLES.iter().find(|(name, _)| *name == inner).map_or(inner, |(_, title)| title);
        let title = match (around, name) {
            ("lookahead", _) => format!("Lookahead/{inner_title}"),
            ("average", _) => "Polyak".to_owned(),
            _ => inner_title.to_owned(),
        };
        let state = if around == "lookahead" { state } else { "" };
        Self {
            name: name.to_owned(),
            title,
            inner: inner.to_owned(),
            around: around.to_owned(),
            state: state.to_owned(),
        }
    }

    /// The row in a run's `config.toml`; `None` if there is none.
    pub fn of_config(config: &Table) -> Option<Self> {
        let row = first(config.get("rows"))?.as_table()?;
        let text = |key: &str| row.get(key).and_then(Value::as_str);
        let (inner, _) = kind(row.get("inner")?)?;
        let (around, settings) = row.get("around").map_or(Some((NOTHING, None)), kind)?;
        let pulls_back = |settings: &&Table| settings.get("pulls_back").and_then(Value::as_bool) != Some(false);
        let state =
            settings.filter(pulls_back).and_then(|settings| settings.get("state_policy")).and_then(Value::as_str);
        let name = text("name")?;
        Some(Self {
            name: name.to_owned(),
            title: text("title").unwrap_or(name).to_owned(),
            inner: inner.to_owned(),
            around: around.to_owned(),
            state: state.unwrap_or_default().to_owned(),
        })
    }

    /// The row of a `config.toml` that version 0.1 wrote.
    pub(crate) fn of_old_config(config: &Table) -> Option<Self> {
        let name = first(config.get("optimizers"))?.as_str()?;
        let state = first(config.get("states")).and_then(Value::as_str).unwrap_or_default();
        Some(Self::classic(name, state))
    }
}

/// The wrapper's kind if there is none.
const NOTHING: &str = "nothing";

/// Titles of the optimizers in published tables.
const TITLES: [(&str, &str); 3] = [("sgd", "SGD"), ("adamw", "AdamW"), ("rmsprop", "RMSProp")];

fn first(list: Option<&Value>) -> Option<&Value> {
    list?.as_array()?.first()
}

/// A choice in a file: its name alone, or a table with one key, the name, that holds the settings.
pub(crate) fn kind(choice: &Value) -> Option<(&str, Option<&Table>)> {
    match choice {
        Value::String(name) => Some((name, None)),
        Value::Table(table) => table.iter().next().map(|(name, settings)| (name.as_str(), settings.as_table())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_names_its_row() {
        let text = "[[rows]]\nname = \"slow\"\ntitle = \"Slow SGD\"\n[rows.inner.sgd]\nlearning_rate = 0.1\n\
                    [rows.around.lookahead]\nstate_policy = \"reset\"\n";
        let row = RowId::of_config(&text.parse().unwrap()).unwrap();
        assert_eq!(
            (row.label().as_str(), row.inner.as_str(), row.around.as_str()),
            ("Slow SGD (reset)", "sgd", "lookahead")
        );
        let alone = "rows = [{ name = \"a\", inner = { adamw = {} } }]";
        let row = RowId::of_config(&alone.parse().unwrap()).unwrap();
        assert!(row.is_plain() && row.title == "a" && row.state.is_empty());
        for strange in ["rows = 3", "rows = [3]", "rows = [{ name = 3, inner = 7 }]", ""] {
            assert_eq!(RowId::of_config(&strange.parse().unwrap()), None, "{strange}");
        }
    }

    #[test]
    fn old_configurations_name_optimizers() {
        let old = "optimizers = [\"lookahead-adamw\"]\nstates = [\"keep\"]\n[lookahead-adamw]\nbeta1 = 0.9\n";
        let row = RowId::of_old_config(&old.parse().unwrap()).unwrap();
        assert_eq!((row.label().as_str(), row.inner.as_str()), ("Lookahead/AdamW (keep)", "adamw"));
        assert_eq!(RowId::classic("polyak", "keep").around, "average");
        assert_eq!(RowId::classic("zeta", "").title, "zeta");
    }
}
