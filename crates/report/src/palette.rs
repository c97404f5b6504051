//! Colours and dashes of rows: one hue per inner optimizer, in one shade for the plain row and one with Lookahead
//! around it.
//!
//! Charts compare Lookahead with its inner optimizer, so the two share a hue; the dash shows the state policy. The hues
//! are close to those of Okabe and Ito, which are distinguishable with any common colour vision. Each shade has a
//! contrast of at least 3 to white.

use lookahead_runs::RowId;

use crate::row::is_average;

/// A hue: its name in the page's style sheet, and its two shades on white.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hue {
    name: &'static str,
    plain: &'static str,
    strong: &'static str,
}

/// Hues of the optimizers in published tables.
const KNOWN: [(&str, Hue); 3] = [
    ("sgd", Hue { name: "blue", plain: "#4394d8", strong: "#0a4a86" }),
    ("adamw", Hue { name: "orange", plain: "#e0762c", strong: "#a02f06" }),
    ("rmsprop", Hue { name: "green", plain: "#2f9e76", strong: "#075840" }),
];
/// Averages of weights, of any optimizer.
const AVERAGES: Hue = Hue { name: "purple", plain: "#7b52b9", strong: "#4b2a80" };
/// Other kinds, in order of appearance; reused from the first when they run out.
const OTHERS: [Hue; 3] = [
    Hue { name: "ochre", plain: "#9a7500", strong: "#594300" },
    Hue { name: "pink", plain: "#b8447f", strong: "#711a48" },
    Hue { name: "gray", plain: "#5f6b76", strong: "#2b343c" },
];
/// SVG dash patterns; the first three are those of the state policies.
const DASHES: [&str; 8] = ["", "7 3", "2 2.5", "9 3 2 3", "12 4", "4 4", "9 3 2 3 2 3", "1 4"];

/// How a row is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ink {
    /// Name of the hue in the style sheet.
    pub(crate) hue: &'static str,
    /// True for the stronger shade.
    pub(crate) strong: bool,
    /// SVG dash pattern; empty for a solid line.
    pub(crate) dash: &'static str,
    /// The colour on white.
    pub(crate) on_white: &'static str,
}

impl Ink {
    /// The inks of all rows. Rows with the same shade, such as two settings of SGD, get different dashes; from the
    /// ninth such row on, dashes repeat.
    pub(crate) fn of_rows<'a>(rows: impl Iterator<Item = &'a RowId>) -> Vec<Self> {
        let mut others: Vec<&str> = Vec::new();
        let mut inks: Vec<Self> = Vec::new();
        for row in rows {
            let hue = match KNOWN.iter().find(|(kind, _)| *kind == row.inner) {
                _ if is_average(row) => AVERAGES,
                Some((_, hue)) => *hue,
                None => {
                    let place = others.iter().position(|kind| *kind == row.inner).unwrap_or_else(|| {
                        others.push(&row.inner);
                        others.len() - 1
                    });
                    OTHERS[place % OTHERS.len()]
                }
            };
            let strong = row.around.starts_with("lookahead");
            let wanted = match row.state.as_str() {
                "reset" => 1,
                "interpolate" => 2,
                _ => 0,
            };
            let ink = |dash: usize| Self {
                hue: hue.name,
                strong,
                dash: DASHES[dash % DASHES.len()],
                on_white: if strong { hue.strong } else { hue.plain },
            };
            let free = (wanted..wanted + DASHES.len()).map(ink).find(|ink| !inks.contains(ink));
            inks.push(free.unwrap_or_else(|| ink(wanted)));
        }
        inks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inks(rows: &[(&str, &str)]) -> Vec<Ink> {
        let rows: Vec<RowId> = rows.iter().map(|(name, state)| RowId::classic(name, state)).collect();
        Ink::of_rows(rows.iter())
    }

    fn all_differ(inks: &[Ink]) {
        for (position, ink) in inks.iter().enumerate() {
            assert!(!inks[..position].contains(ink), "{position}: {ink:?}");
        }
    }

    #[test]
    fn lookahead_and_its_inner_optimizer_share_a_hue() {
        let inks = inks(&[("sgd", ""), ("lookahead-sgd", "keep"), ("lookahead-sgd", "reset"), ("adamw", "")]);
        assert_eq!((inks[0].hue, inks[1].hue, inks[3].hue), ("blue", "blue", "orange"));
        assert_ne!(inks[0].on_white, inks[1].on_white);
        assert_eq!([inks[0].dash, inks[1].dash, inks[2].dash], ["", "", "7 3"]);
    }

    #[test]
    fn kinds_that_are_not_ours_have_hues_too() {
        let inks = inks(&[("zeta", ""), ("polyak", ""), ("lookahead-zeta", "interpolate"), ("beta", "")]);
        let drawn: Vec<(&str, bool, &str)> = inks.iter().map(|ink| (ink.hue, ink.strong, ink.dash)).collect();
        assert_eq!(drawn, [("ochre", false, ""), ("purple", false, ""), ("ochre", true, "2 2.5"), ("pink", false, "")]);
    }

    #[test]
    fn nine_strangers_are_all_drawn_differently() {
        let names: Vec<String> = (0..9).map(|name| name.to_string()).collect();
        all_differ(&inks(&names.iter().map(|name| (name.as_str(), "")).collect::<Vec<_>>()));
    }

    /// Two settings of SGD, an unknown thing around it, averages of two optimizers, and an unknown state.
    #[test]
    fn rows_of_one_shade_are_told_apart() {
        let of = |inner: &str, around: &str, state: &str| RowId {
            inner: inner.to_owned(),
            around: around.to_owned(),
            state: state.to_owned(),
            ..RowId::default()
        };
        let rows = [
            of("sgd", "nothing", ""),
            of("sgd", "nothing", ""),
            of("sgd", "anchor", ""),
            of("sgd", "average", ""),
            of("adamw", "average", ""),
            of("sgd", "lookahead", "keep"),
            of("sgd", "lookahead", "reset"),
            of("sgd", "lookahead", "swap"),
        ];
        all_differ(&Ink::of_rows(rows.iter()));
    }

    /// Contrast as WCAG 2 defines it, on white.
    #[test]
    fn every_shade_is_seen_on_white() {
        let luminance = |colour: &str| {
            let part = |at: usize| {
                let share = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
                if share <= 0.04045 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
        };
        let hues = KNOWN.map(|(_, hue)| hue).into_iter().chain([AVERAGES]).chain(OTHERS);
        for shade in hues.flat_map(|hue| [hue.plain, hue.strong]) {
            let contrast = 1.05 / (luminance(shade) + 0.05);
            assert!(contrast >= 3.0, "{shade}: {contrast}");
        }
    }

    /// The page takes its colours from the style sheet, figures take them from here.
    #[test]
    fn the_style_sheet_has_the_same_shades() {
        let style = include_str!("page/style.css");
        for hue in KNOWN.map(|(_, hue)| hue).into_iter().chain([AVERAGES]).chain(OTHERS) {
            assert!(style.contains(&format!("--{}: light-dark({},", hue.name, hue.plain)), "{hue:?}");
            assert!(style.contains(&format!("--{}-strong: light-dark({},", hue.name, hue.strong)), "{hue:?}");
        }
    }
}
