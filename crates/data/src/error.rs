//! Errors, each with the path, row or value that caused it.

use std::path::{Path, PathBuf};

/// Result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// Every error of this crate. Messages are one line and name what to change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The data set is not in the data folder.
    #[error("data set `{name}` not found at {path}, which should hold {}", crate::catalog::belongs_there(.name))]
    Missing {
        /// Name of the data set and of its folder.
        name: String,
        /// The path that was tried.
        path: PathBuf,
    },
    /// A name that is empty or would leave the data folder.
    #[error(
        "`{name}` is not the name of a data set: use cifar10, cifar100, cifar100-coarse, shapes or a folder's name"
    )]
    Name {
        /// The name given.
        name: String,
    },
    /// A data set without a published archive known to this crate.
    #[error(
        "`{name}` cannot be downloaded; available: {} (shapes needs no files; put your own data set into the data folder)",
        crate::catalog::downloads()
    )]
    Unpublished {
        /// The name given.
        name: String,
    },
    /// A folder of images without the parts or classes that it needs.
    #[error("{path}: {problem}")]
    Layout {
        /// The folder.
        path: PathBuf,
        /// What is missing.
        problem: String,
    },
    /// The target folder of a download holds something else.
    #[error("{path} exists, but is not a complete `{name}`: {problem}; move it away or use another data folder")]
    Occupied {
        /// Name of the data set.
        name: String,
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A file or folder could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file that is shorter or longer than its format requires.
    #[error("{path}: the file has {found} bytes, but its format needs {expected}; it is truncated or misnamed")]
    Length {
        /// The file.
        path: PathBuf,
        /// Bytes that the format requires.
        expected: u64,
        /// Bytes in the file.
        found: u64,
    },
    /// A file that is larger than any of its kind.
    #[error("{path}: more than {limit} bytes; {advice}")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Most bytes that are read.
        limit: u64,
        /// What to do.
        advice: &'static str,
    },
    /// A parquet file without the columns of the hub's layout.
    #[error("{path}: the file needs the columns {expected}, but has {found}")]
    Columns {
        /// The file.
        path: PathBuf,
        /// Columns that the layout requires.
        expected: String,
        /// Columns in the file.
        found: String,
    },
    /// A damaged parquet file.
    #[error("{path}: the parquet file is damaged: {problem}")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// The parquet reader's message.
        problem: String,
    },
    /// A file that does not hold a text.
    #[error("{path}: {problem}")]
    Text {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// A list of labels that does not fit its images or the classes.
    #[error("{path}{}: {problem}", line_suffix(.line))]
    Labels {
        /// The list.
        path: PathBuf,
        /// The line, from 1, if there is one to name.
        line: Option<usize>,
        /// What was found, and what was expected.
        problem: String,
    },
    /// A label that is not a class.
    #[error("{path}: label {label} in row {row} is out of range: {}", labels_of(*.classes))]
    Label {
        /// The file, or the data set's name.
        path: PathBuf,
        /// Row of the sample, from 0.
        row: usize,
        /// The label found.
        label: i64,
        /// Number of classes.
        classes: usize,
    },
    /// Bytes that are not an image, or a damaged one.
    #[error("{path}{}: cannot decode the image: {problem}", row_suffix(.row))]
    Decode {
        /// The file.
        path: PathBuf,
        /// Row of the sample, from 0, if the file holds several.
        row: Option<usize>,
        /// The decoder's message.
        problem: String,
    },
    /// An image whose size differs from the data set's or the batch's.
    #[error("{path}{}: the image is {found}, but must be {expected}", row_suffix(.row))]
    Size {
        /// The file, or the data set's name.
        path: PathBuf,
        /// Row of the sample, from 0.
        row: Option<usize>,
        /// The size required (height x width).
        expected: crate::ImageSize,
        /// The size found (height x width).
        found: crate::ImageSize,
    },
    /// Images of one batch that differ in size after augmentation.
    #[error(
        "{path}{}: the image is {found} after augmentation, but its batch is {expected}; end the pipeline with a step \
         that fixes the size, such as `center-crop` or `random-resized-crop`", row_suffix(.row)
    )]
    UnequalSize {
        /// The file, or the data set's name.
        path: PathBuf,
        /// Row of the sample, from 0, if the data set has no files.
        row: Option<usize>,
        /// The size of the batch's images (height x width).
        expected: crate::ImageSize,
        /// The size found (height x width).
        found: crate::ImageSize,
    },
    /// An index out of range.
    #[error("index {index} is out of range: it must be below {len}")]
    Index {
        /// The index requested.
        index: usize,
        /// Number of samples or windows.
        len: usize,
    },
    /// A setting out of range.
    #[error("{setting} is {value}, but must be {rule}")]
    Setting {
        /// Name of the setting.
        setting: &'static str,
        /// The value given.
        value: String,
        /// The range it must be in.
        rule: &'static str,
    },
    /// A data set of which no images can be held out.
    #[error("{name}: no images can be held out: {problem}")]
    HeldOut {
        /// Name of the data set.
        name: String,
        /// Why, and what to do.
        problem: &'static str,
    },
    /// A number of pixels that does not match the given size.
    #[error("got {found} bytes of pixels, but {}", needed(*.images, .size, *.found))]
    Pixels {
        /// The size given (height x width).
        size: crate::ImageSize,
        /// Number of images expected.
        images: usize,
        /// Bytes given.
        found: usize,
    },
    /// A crop that is larger than the image it is cut from.
    #[error(
        "a crop of {crop} does not fit into an image of {padded} (padding included); scale the image up first, or pad more"
    )]
    Crop {
        /// Size of the crop (height x width).
        crop: crate::ImageSize,
        /// Size of the image with its padding.
        padded: crate::ImageSize,
    },
    /// An error of one sample of a data set.
    #[error("{origin}: {source}")]
    Sample {
        /// Origin of the sample: its file, or the data set and the index.
        origin: String,
        /// The error.
        source: Box<Error>,
    },
    /// Images that cannot be read.
    #[error("{first}{}", rest(*.others, *.checked))]
    Broken {
        /// The error of the first one.
        first: Box<Error>,
        /// Number of other images that cannot be read.
        others: usize,
        /// Number of images read to find them.
        checked: usize,
    },
    /// An error of your own code: an [`Augment`](crate::Augment), [`Examples`](crate::Examples) or an [`Order`](crate::Order).
    #[error("{name}: {source}")]
    Own {
        /// What reported it.
        name: String,
        /// The error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The caller's progress function asked to stop.
    #[error("stopped after {done} of {total} images")]
    Stopped {
        /// Images processed.
        done: usize,
        /// Images in total.
        total: usize,
    },
    /// The thread that prepares batches ended unexpectedly.
    #[error("the thread that prepares batches stopped: {problem}")]
    Loader {
        /// What is known.
        problem: String,
    },
    /// A download that failed.
    #[error("{url}: {problem}; without a network, put the files into {path} by hand: {contents}")]
    Download {
        /// The address.
        url: String,
        /// What went wrong.
        problem: String,
        /// Where the files belong.
        path: PathBuf,
        /// What belongs there.
        contents: String,
    },
    /// A download whose checksum is not the published one.
    #[error(
        "{path}: the checksum is {found}, but the published one is {expected}; the file was removed, download it again"
    )]
    Checksum {
        /// The file.
        path: PathBuf,
        /// The published MD5 sum.
        expected: String,
        /// The MD5 sum found.
        found: String,
    },
    /// An archive member that must not be unpacked.
    #[error("{archive}: member `{member}` rejected: {problem}")]
    Member {
        /// The archive.
        archive: PathBuf,
        /// The member's name.
        member: String,
        /// Why it was rejected.
        problem: &'static str,
    },
    /// candle could not make a tensor.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

impl From<Error> for candle_core::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Candle(inner) => inner,
            other => Self::wrap(other),
        }
    }
}

/// Another library's message on one line, as all messages are.
pub(crate) fn one_line(message: impl ToString) -> String {
    message.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The labels of `classes` classes.
fn labels_of(classes: usize) -> String {
    match classes.checked_sub(1) {
        Some(last) => format!("the classes are 0 to {last}"),
        None => "there are no classes".to_string(),
    }
}

/// The bytes that `images` images need, with a hint if `found` fits one channel.
fn needed(images: usize, size: &crate::ImageSize, found: usize) -> String {
    let each = size.height.saturating_mul(size.width);
    let need = each.saturating_mul(images).saturating_mul(crate::CHANNELS);
    let grey = if found > 0 && found == each.saturating_mul(images) {
        "; for one channel use `InMemory::grey`, for other shapes `Examples`"
    } else {
        ""
    };
    format!("{images} images of {size} with 3 channels need {need}{grey}")
}

fn rest(others: usize, checked: usize) -> String {
    match others {
        0 => format!(" (the only one of {checked} images that cannot be read)"),
        others => format!(" (and {others} more of {checked} images)"),
    }
}

fn row_suffix(row: &Option<usize>) -> String {
    row.map(|row| format!(" row {row}")).unwrap_or_default()
}

fn line_suffix(line: &Option<usize>) -> String {
    line.map(|line| format!(" line {line}")).unwrap_or_default()
}

impl Error {
    pub(crate) fn io(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::Io { path: path.as_ref().to_path_buf(), source }
    }

    pub(crate) fn setting(setting: &'static str, value: impl ToString, rule: &'static str) -> Self {
        Self::Setting { setting, value: value.to_string(), rule }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_without_classes_can_be_printed() {
        let label = |classes| Error::Label { path: "x".into(), row: 1, label: 7, classes }.to_string();
        assert_eq!(label(0), "x: label 7 in row 1 is out of range: there are no classes");
        assert_eq!(label(3), "x: label 7 in row 1 is out of range: the classes are 0 to 2");
    }

    #[test]
    fn messages_of_several_lines_become_one() {
        assert_eq!(one_line("not found:\n  the page\r\n"), "not found: the page");
    }

    /// Code that returns candle's errors can use `?` on this crate's.
    #[test]
    fn errors_convert_to_candles_and_candles_come_back_as_they_were() {
        let load = || -> candle_core::Result<()> { Err(Error::Index { index: 3, len: 2 })? };
        assert!(load().unwrap_err().to_string().contains("index 3 is out of range"));
        let candle = candle_core::Error::from(Error::from(candle_core::Error::Msg("memory".to_string())));
        assert!(matches!(candle, candle_core::Error::Msg(text) if text == "memory"));
    }
}
