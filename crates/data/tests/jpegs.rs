//! JPEGs in every layout that is valid: libjpeg's pixels, or refused by name. `fixtures/jpegs.py` made them.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use lookahead_data::{Error, Image};
use safetensors::SafeTensors;

const FIXTURE: &[u8] = include_bytes!("fixtures/jpegs.safetensors");

/// Layouts that no decoder here has, and what the error says.
const REFUSED: [(&str, &str); 1] = [("split-cmyk", "not supported")];

fn decode(bytes: &[u8]) -> Result<Image, String> {
    match Image::decode(bytes, "x.jpg".as_ref()) {
        Ok(image) => Ok(image),
        Err(Error::Decode { problem, .. }) => Err(problem),
        Err(other) => panic!("{other}"),
    }
}

/// Mean and largest difference from libjpeg's pixels.
fn gap(image: &Image, expected: &[u8]) -> (f64, u8) {
    assert_eq!(image.pixels().len(), expected.len());
    let gaps: Vec<u8> = image.pixels().iter().zip(expected).map(|(a, b)| a.abs_diff(*b)).collect();
    (gaps.iter().map(|&g| f64::from(g)).sum::<f64>() / gaps.len() as f64, *gaps.iter().max().unwrap())
}

#[test]
fn every_layout_gives_libjpegs_pixels_or_is_refused_by_name() {
    let files = SafeTensors::deserialize(FIXTURE).unwrap();
    let mut wrong = Vec::new();
    let mut names: Vec<&str> = files.names().into_iter().filter_map(|name| name.strip_suffix(".jpg")).collect();
    names.sort_unstable();
    assert_eq!(names.len(), 70);
    for name in names {
        let found = decode(files.tensor(&format!("{name}.jpg")).unwrap().data());
        let expected = files.tensor(&format!("{name}.rgb")).ok();
        let refused = REFUSED.iter().find(|(refused, _)| *refused == name);
        match (found, expected, refused) {
            (Ok(image), Some(expected), None) => {
                assert_eq!(expected.shape(), [image.size().height, image.size().width, 3]);
                let (mean, most) = gap(&image, expected.data());
                if mean > 2.0 {
                    wrong.push(format!("{name}: mean gap {mean:.1}, largest {most}"));
                }
            }
            (Err(problem), _, Some((_, word))) if problem.contains(word) => {}
            (Err(problem), None, None) if problem.contains("not supported") => {}
            (found, _, _) => wrong.push(format!("{name}: {:?}", found.map(|image| image.size()))),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The odd but valid pictures of a folder, `X.jpg` beside `X.rgb` (height, width, line feed, pixels), where one is at hand.
#[test]
fn other_peoples_layouts() {
    let Some(folder) = std::env::var_os("LOOKAHEAD_JPEGS") else {
        eprintln!("skipped: LOOKAHEAD_JPEGS is not set");
        return;
    };
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "jpg") {
            continue;
        }
        let rgb = std::fs::read(path.with_extension("rgb")).unwrap();
        let start = rgb.iter().position(|&v| v == b'\n').unwrap() + 1;
        match decode(&std::fs::read(&path).unwrap()) {
            Ok(image) => {
                let (mean, most) = gap(&image, &rgb[start..]);
                println!("{:<30} mean gap {mean:.2}, largest {most}", path.file_name().unwrap().to_string_lossy());
                assert!(mean <= 2.0, "{}: {mean}", path.display());
            }
            Err(problem) => {
                println!("{:<30} {problem}", path.file_name().unwrap().to_string_lossy());
                assert!(problem.contains("not supported"), "{}: {problem}", path.display());
            }
        }
    }
}
