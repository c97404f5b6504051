//! Which row of a table a run belongs to.

use toml::{Table, Value};

/// What a run folder says of its row: an inner optimizer and what stands around it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RowId {
    /// The row's name, such as `lookahead-sgd`.
    pub name: String,
    /// Its name for people, such as `Lookahead/SGD`.
    pub title: String,
    /// The kind of the inner optimizer, such as `sgd`.
    pub inner: String,
    /// The kind of what stands around it: `nothing`, `lookahead`, `average`, ...
    pub around: String,
    /// What Lookahead does with the inner state at a sync: `keep`, `reset` or `interpolate`; empty without Lookahead, and where its slow
    /// weights are an average that pulls nothing back.
    pub state: String,
}

impl RowId {
    /// The title and, in brackets, the state policy: the one spelling for tables, pages and terminals.
    ///
    /// ```
    /// use lookahead_runs::RowId;
    /// assert_eq!(RowId::classic("lookahead-sgd", "reset").label(), "Lookahead/SGD (reset)");
    /// assert_eq!(RowId::classic("sgd", "").label(), "SGD");
    /// ```
    pub fn label(&self) -> String {
        if self.state.is_empty() { self.title.clone() } else { format!("{} ({})", self.title, self.state) }
    }

    /// The part of a run folder's name that says the row: `<name>[-<state>]`.
    pub fn folder(&self) -> String {
        if self.state.is_empty() { self.name.clone() } else { format!("{}-{}", self.name, self.state) }
    }

    /// The name of a run's folder, and of the run in messages: `<name>[-<state>]-s<seed>`.
    ///
    /// ```
    /// use lookahead_runs::RowId;
    /// assert_eq!(RowId::classic("lookahead-sgd", "reset").run(3), "lookahead-sgd-reset-s3");
    /// assert_eq!(RowId::classic("sgd", "").run(1), "sgd-s1");
    /// ```
    pub fn run(&self, seed: u64) -> String {
        format!("{}-s{seed}", self.folder())
    }

    /// Whether the optimizer runs alone.
    pub fn is_plain(&self) -> bool {
        self.around == NOTHING
    }

    /// A row known by its name alone, as in published tables and in run folders of version 0.1, which named optimizers
    /// and no rows. A name that is not known is its own title.
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

    /// The row of a run's `config.toml`; `None` where it holds none.
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

/// What stands around an optimizer that runs alone.
const NOTHING: &str = "nothing";

/// Optimizers of published tables.
const TITLES: [(&str, &str); 3] = [("sgd", "SGD"), ("adamw", "AdamW"), ("rmsprop", "RMSProp")];

fn first(list: Option<&Value>) -> Option<&Value> {
    list?.as_array()?.first()
}

/// A choice as files spell it: its name alone, or a table of one key, its name, that holds its settings.
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
