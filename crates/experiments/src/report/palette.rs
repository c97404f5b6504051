//! One colour for each inner optimizer, two shades: plain, and with Lookahead around it.
//!
//! The question of every chart is Lookahead against its inner optimizer, so the two share a hue; the state policy is the
//! dash. Hues are near Okabe and Ito's, which people with any common colour vision tell apart, and each shade has a
//! contrast of at least three to white.

/// How a row is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ink {
    /// Name of the hue in the page's style sheet.
    pub(crate) hue: &'static str,
    /// Whether it is the stronger shade.
    pub(crate) strong: bool,
    /// Dashes of the line, as SVG spells them; empty for a whole line.
    pub(crate) dash: &'static str,
    /// The colour on white.
    pub(crate) on_white: &'static str,
}

impl Ink {
    /// Of a row; `stranger` counts the rows before it whose optimizer is not one of ours.
    pub(crate) fn of(optimizer: &str, state: &str, stranger: usize) -> Self {
        const STRANGERS: [(&str, &str); 3] = [("ochre", "#9a7500"), ("pink", "#b8447f"), ("gray", "#5f6b76")];
        let strong = optimizer.starts_with("lookahead-");
        let inner = optimizer.strip_prefix("lookahead-").unwrap_or(optimizer);
        let (hue, on_white) = match (inner, strong) {
            ("sgd", false) => ("blue", "#4394d8"),
            ("sgd", true) => ("blue", "#0a4a86"),
            ("adamw", false) => ("orange", "#e0762c"),
            ("adamw", true) => ("orange", "#a02f06"),
            ("rmsprop", false) => ("green", "#2f9e76"),
            ("rmsprop", true) => ("green", "#075840"),
            ("polyak", _) => ("purple", "#7b52b9"),
            _ => STRANGERS[stranger % STRANGERS.len()],
        };
        let dash = match (state, stranger / STRANGERS.len()) {
            ("reset", _) | (_, 1) => "7 3",
            ("interpolate", _) => "2 2.5",
            (_, 0) => "",
            _ => "2 2.5",
        };
        Self { hue, strong, dash, on_white }
    }

    /// Whether the palette has a hue of its own for the optimizer.
    pub(crate) fn knows(optimizer: &str) -> bool {
        let inner = optimizer.strip_prefix("lookahead-").unwrap_or(optimizer);
        ["sgd", "adamw", "rmsprop", "polyak"].contains(&inner)
    }

    /// Of all rows, given as optimizer and state.
    pub(crate) fn of_rows<'a>(rows: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<Self> {
        let mut strangers = 0;
        rows.map(|(optimizer, state)| {
            let ink = Self::of(optimizer, state, strangers);
            strangers += usize::from(!Self::knows(optimizer));
            ink
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lookahead_and_its_inner_optimizer_share_a_hue() {
        let rows = [("sgd", ""), ("lookahead-sgd", "keep"), ("lookahead-sgd", "reset"), ("adamw", "")];
        let inks = Ink::of_rows(rows.into_iter());
        assert_eq!(inks[0].hue, inks[1].hue);
        assert_ne!(inks[0].on_white, inks[1].on_white);
        assert_ne!(inks[1].dash, inks[2].dash);
        assert_ne!(inks[0].hue, inks[3].hue);
    }

    #[test]
    fn nine_strangers_are_all_drawn_differently() {
        let names: Vec<String> = (0..9).map(|name| name.to_string()).collect();
        let inks = Ink::of_rows(names.iter().map(|name| (name.as_str(), "")));
        for (position, ink) in inks.iter().enumerate() {
            assert!(!inks[..position].contains(ink), "{position}: {ink:?}");
        }
    }
}
