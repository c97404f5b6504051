//! What a listing skipped.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// Files and folders of an [`ImageFolder`](crate::ImageFolder) that are not samples.
///
/// It prints as a list: `3 .webp, 12 .txt, 2 hidden, the folder train/@eaDir`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeftOut {
    /// Number of files that are neither JPEG nor PNG, with pipes and the like, by lower-case extension; the key is empty for names
    /// without one.
    pub by_ending: BTreeMap<String, usize>,
    /// Files whose name begins with a dot.
    pub hidden: usize,
    /// Files next to the class folders.
    pub beside: usize,
    /// Folders made by systems and network storage: hidden ones, `@eaDir`, `__MACOSX` and the like.
    pub folders: Vec<PathBuf>,
}

impl LeftOut {
    /// True if nothing was left out.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Number of files left out, not counting those in left-out folders.
    pub fn files(&self) -> usize {
        self.by_ending.values().sum::<usize>() + self.hidden + self.beside
    }

    pub(super) fn add(&mut self, other: Self) {
        other.by_ending.into_iter().for_each(|(ending, count)| *self.by_ending.entry(ending).or_default() += count);
        self.hidden += other.hidden;
        self.beside += other.beside;
        self.folders.extend(other.folders);
    }

    pub(super) fn file(&mut self, path: &Path) {
        let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
        *self.by_ending.entry(ending).or_default() += 1;
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = Vec::new();
        for (ending, count) in &self.by_ending {
            parts.push(if ending.is_empty() {
                format!("{count} without an ending")
            } else {
                format!("{count} .{ending}")
            });
        }
        if self.hidden > 0 {
            parts.push(format!("{} hidden", self.hidden));
        }
        if self.beside > 0 {
            parts.push(format!("{} beside the class folders", self.beside));
        }
        match &self.folders[..] {
            [] => {}
            [one] => parts.push(format!("the folder {}", one.display())),
            [first, rest @ ..] => parts.push(format!("the folder {} and {} like it", first.display(), rest.len())),
        }
        f.write_str(if parts.is_empty() { "nothing" } else { "" })?;
        f.write_str(&parts.join(", "))
    }
}
