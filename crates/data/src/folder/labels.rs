//! Lists of labels: the class of each image in a folder without class folders.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::list::{Files, places};
use crate::{Error, Result, whole_file};

/// Maximum size of a list in bytes: thirty times ImageNet's.
const MAX_BYTES: u64 = 1 << 26;

/// First words of Kaggle's list.
const HEADER: &str = "ImageId";

/// The classes that a file lists, by the names of the images.
#[derive(Debug)]
pub(super) struct Labels {
    path: PathBuf,
    by_name: HashMap<String, Label>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Label {
    class: u32,
    line: usize,
}

/// The format of a line: an image and its class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `ILSVRC2012_val_00000001,n01751748 111 108 230 366`: the class, then boxes.
    Csv,
    /// `ILSVRC2012_val_00000001.JPEG n01751748`, or the index of the class in the order of names.
    Words,
}

impl Form {
    fn entry(self, line: &str) -> Option<(&str, &str)> {
        let (name, class) = match self {
            Self::Csv => line.split_once(',').map(|(name, boxes)| (name, boxes.split_whitespace().next()))?,
            Self::Words => line.rsplit_once(char::is_whitespace).map(|(name, class)| (name, Some(class)))?,
        };
        let name = name.trim();
        class.filter(|_| !name.is_empty()).map(|class| (name, class))
    }
}

impl Labels {
    /// Reads the list `path`; it may name only `classes`.
    pub(super) fn read(path: &Path, classes: &[String]) -> Result<Self> {
        let bytes = whole_file::read(path, MAX_BYTES, "too large for a list of labels, give another file")?;
        let text = String::from_utf8(bytes)
            .map_err(|_| wrong(path, None, "not UTF-8 text; convert the file to UTF-8".to_string()))?;
        Self::parse(path, &text, classes)
    }

    fn parse(path: &Path, text: &str, classes: &[String]) -> Result<Self> {
        let is_csv = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv"));
        let form = if is_csv { Form::Csv } else { Form::Words };
        let places = places(classes)?;
        // If folders have numbers as names, a number is a name.
        let numbered = form == Form::Words && classes.iter().all(|class| class.parse::<u32>().is_err());
        let place = |class: &str| {
            let number = || class.parse().ok().filter(|&place: &u32| numbered && (place as usize) < classes.len());
            places.get(class).copied().or_else(number)
        };
        let mut by_name: HashMap<String, Label> = HashMap::new();
        let mut unknown: Option<(usize, &str)> = None;
        let mut others = 0;
        for (index, content) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let (line, content) = (index + 1, content.trim());
            if content.is_empty() || (is_csv && line == 1 && content.starts_with(HEADER)) {
                continue;
            }
            let (name, spelt) =
                form.entry(content).ok_or_else(|| wrong(path, Some(line), not_an_entry(content, form)))?;
            let Some(class) = place(spelt) else {
                others += usize::from(unknown.is_some());
                unknown.get_or_insert((line, spelt));
                continue;
            };
            if let Some(first) = by_name.insert(name.to_string(), Label { class, line }) {
                let problem = format!("`{name}` is already in line {}", first.line);
                return Err(wrong(path, Some(line), problem));
            }
        }
        match unknown {
            None => Ok(Self { path: path.to_path_buf(), by_name }),
            Some((line, spelt)) => {
                let last = classes.len().saturating_sub(1);
                let problem = match spelt.parse::<u32>() {
                    Ok(_) if numbered => {
                        format!("class {spelt} is out of range: the classes are 0 to {last}, sorted by name")
                    }
                    _ => format!("`{spelt}` is not a class of the training part"),
                };
                Err(wrong(path, Some(line), format!("{problem}{}", and_more(others))))
            }
        }
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Assigns a class to each of `images`, all the images in `dir`.
    pub(super) fn assign(mut self, images: Vec<PathBuf>, dir: &Path) -> Result<Files> {
        let mut files = Files::with_capacity(images.len());
        let mut without = Vec::new();
        for image in images {
            match self.take(&image) {
                Some(class) => files.push((image.into_boxed_path(), class)),
                None => without.push(image),
            }
        }
        if let Some((name, first)) = self.by_name.iter().min_by_key(|(_, label)| label.line) {
            let more = and_more(self.by_name.len() - 1);
            let problem = format!("there is no image `{name}` in {}{more}", dir.display());
            return Err(wrong(&self.path, Some(first.line), problem));
        }
        match &without[..] {
            [] => Ok(files),
            [first, rest @ ..] => {
                let problem = format!("no line for the image {}{}", first.display(), and_more(rest.len()));
                Err(wrong(&self.path, None, problem))
            }
        }
    }

    /// Removes the image from the list, by its name with or without extension, and returns its class.
    fn take(&mut self, image: &Path) -> Option<u32> {
        let mut known = |name: Option<&std::ffi::OsStr>| self.by_name.remove(name?.to_str()?);
        Some(known(image.file_name()).or_else(|| known(image.file_stem()))?.class)
    }
}

fn wrong(path: &Path, line: Option<usize>, problem: String) -> Error {
    Error::Labels { path: path.to_path_buf(), line, problem }
}

fn not_an_entry(content: &str, form: Form) -> String {
    let example = match form {
        Form::Csv => "ILSVRC2012_val_00000001,n01751748 111 108 230 366",
        Form::Words => "ILSVRC2012_val_00000001.JPEG n01751748",
    };
    let alone = match content.parse::<u32>() {
        Ok(_) => "; numbers alone, as in the devkit, number the classes in another order than that of their names",
        Err(_) => "",
    };
    let start: String = content.chars().take(60).collect();
    format!("expected an image and its class, such as `{example}`, but found `{start}`{alone}")
}

fn and_more(count: usize) -> String {
    if count == 0 { String::new() } else { format!(" (and {count} more)") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    fn read(name: &str, text: &str, among: &[&str]) -> Result<Vec<(String, u32)>> {
        let labels = Labels::parse(Path::new(name), text, &classes(among))?;
        let mut found: Vec<_> =
            labels.by_name.into_iter().map(|(name, label)| (label.line, name, label.class)).collect();
        found.sort();
        Ok(found.into_iter().map(|(_, name, class)| (name, class)).collect())
    }

    fn fails(name: &str, text: &str) -> String {
        read(name, text, &["n1", "n2", "n3"]).unwrap_err().to_string()
    }

    #[test]
    fn the_three_forms_are_read() {
        let expected = [("a".to_string(), 1), ("b".to_string(), 0)];
        let csv = "\u{feff}ImageId,PredictionString\r\na,n2 85 1 499 272 n2 3 4 5 6 \r\nb,n1 0 0 1 1\r\n";
        assert_eq!(read("l.csv", csv, &["n1", "n2"]).unwrap(), expected);
        assert_eq!(read("val.txt", "a n2\n\nb\tn1", &["n1", "n2"]).unwrap(), expected);
        assert_eq!(read("val.txt", "a 1\nb 0\n", &["n1", "n2"]).unwrap(), expected);
        // A name may have a space, and a class that is called 0 is not the first one.
        assert_eq!(read("val.txt", "my cat.png 0", &["1", "0"]).unwrap(), [("my cat.png".to_string(), 1)]);
        assert!(read("val.txt", "a 1", &["0", "2"]).is_err());
    }

    #[test]
    fn a_line_that_is_no_entry_is_named() {
        for (name, text, line, found) in [
            ("l.csv", "ImageId,PredictionString\na,n1 1 2 3 4\nb n2\n", 3, "`b n2`"),
            ("l.csv", "a,\n", 1, "`a,`"),
            ("l.csv", ",n1\n", 1, "`,n1`"),
            ("val.txt", "a n1\n\n  b \n", 3, "`b`"),
        ] {
            let message = fails(name, text);
            assert!(message.starts_with(&format!("{name} line {line}: ")) && message.contains(found), "{message}");
        }
        // ILSVRC2012_validation_ground_truth.txt has a number a line.
        let message = fails("val.txt", "490\n361\n");
        assert!(message.contains("line 1") && message.contains("`490`; numbers alone"), "{message}");
    }

    #[test]
    fn classes_that_training_lacks_are_counted() {
        let message = fails("val.txt", "a n1\nb n4\nc n2\nd n5\ne n4\n");
        assert_eq!(message, "val.txt line 2: `n4` is not a class of the training part (and 2 more)");
        let message = fails("val.txt", "a 2\nb 3\n");
        assert!(message.ends_with("line 2: class 3 is out of range: the classes are 0 to 2, sorted by name"));
        // Kaggle's list names its classes.
        assert!(fails("l.csv", "a,2 1 1 1 1\n").contains("`2` is not a class"));
        assert!(fails("val.txt", "a -1\n").contains("`-1` is not a class"));
        assert!(fails("val.txt", "a n1\nb n2\na n1").ends_with("line 3: `a` is already in line 1"));
    }

    #[test]
    fn what_is_no_text_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("val.txt");
        std::fs::write(&path, [b'a', b' ', 0xff]).unwrap();
        assert!(Labels::read(&path, &[]).unwrap_err().to_string().contains("val.txt: not UTF-8 text"));
        assert!(matches!(Labels::read(&dir.path().join("none.txt"), &[]), Err(Error::Io { .. })));
    }
}
