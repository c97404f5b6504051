//! The page: one self-contained HTML file.

use sha2::{Digest, Sha256};

use crate::LeftOut;
use crate::data::{Data, embeddable_json};
use crate::escape::escaped;
use crate::markdown::markdown;
use crate::report::Report;

const HTML: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/style.css");
/// The parts of the script, each before those that use it.
const SCRIPT: &[&str] = &[
    include_str!("page/dom.js"),
    include_str!("page/scale.js"),
    include_str!("page/series.js"),
    include_str!("page/chart.js"),
    include_str!("page/curves.js"),
    include_str!("page/results.js"),
    include_str!("page/differences.js"),
    include_str!("page/classes.js"),
    include_str!("page/sample.js"),
    include_str!("page/details.js"),
    include_str!("page/main.js"),
];

/// The HTML page of an experiment. `left_out`, from [`find`](crate::find), is listed with what the report leaves out.
///
/// The data are embedded as JSON that cannot end its element, and the script shows them only as text. A content
/// security policy contains the digests of the script and the style sheet, so that the browser runs nothing else and
/// fetches nothing, whatever the names of runs are.
///
/// # Errors
/// Errors of the JSON serializer; none is expected for a report.
pub fn page(report: &Report, left_out: &[LeftOut]) -> Result<String, serde_json::Error> {
    let script = format!("\"use strict\";\n(() => {{\n{}}})();\n", SCRIPT.concat());
    let data = embeddable_json(&Data::new(report, left_out))?;
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; img-src data:; base-uri 'none'; form-action 'none'",
        base64(&Sha256::digest(script.as_bytes())),
        base64(&Sha256::digest(STYLE.as_bytes())),
    );
    let title = format!("{} \u{2013} Lookahead experiments", report.title());
    // One pass over the template, so that values cannot contain placeholders.
    let mut page = String::with_capacity(HTML.len() + data.len() + script.len() + STYLE.len() + 4096);
    for (position, part) in HTML.split("{{").enumerate() {
        let Some((name, rest)) = part.split_once("}}").filter(|_| position > 0) else {
            page.push_str(part);
            continue;
        };
        match name {
            "policy" => page.push_str(&policy),
            "title" => page.push_str(&escaped(&title)),
            "style" => page.push_str(STYLE),
            "table" => page.push_str(&escaped(&markdown(report))),
            "data" => page.push_str(&data),
            "script" => page.push_str(&script),
            other => page.push_str(other),
        }
        page.push_str(rest);
    }
    Ok(page)
}

/// Standard base64 with padding, as content security policies spell digests.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .enumerate()
            .fold(0u32, |word, (position, &byte)| word | u32::from(byte) << (16 - 8 * position));
        for digit in 0..4 {
            let index = (word >> (18 - 6 * digit)) & 63;
            text.push(if digit <= chunk.len() { char::from(ALPHABET[index as usize]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use lookahead_runs::Measure;

    use super::*;

    /// The examples of RFC 4648, section 10.
    #[test]
    fn base64_is_that_of_the_standard() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }

    #[test]
    fn the_assets_cannot_end_their_own_elements() {
        assert!(!SCRIPT.concat().to_lowercase().contains("</script"));
        assert!(!STYLE.to_lowercase().contains("</style"));
        assert!(!SCRIPT.concat().contains("innerHTML"), "data go onto the page as text alone");
    }

    /// A browser reads a line's end as `\n`, and would refuse a script or a style sheet whose digest is of `\r\n`.
    #[test]
    fn the_assets_have_the_line_ends_that_a_browser_hashes() {
        for asset in SCRIPT.iter().chain([&STYLE, &HTML]) {
            assert!(!asset.contains('\r'), "see .gitattributes: {asset:.60}");
        }
    }

    #[test]
    fn no_script_knows_a_measure_by_its_name() {
        let script = SCRIPT.concat().to_lowercase();
        for measure in [Measure::Top1, Measure::Top5, Measure::Perplexity] {
            assert!(!script.contains(measure.key()) && !script.contains(measure.name()), "{measure:?}");
        }
    }
}
