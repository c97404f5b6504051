//! Text as streams of token ids, for language models.

mod corpus;
mod read;
mod vocabulary;
mod windows;

pub use corpus::{TextCorpus, TextFiles};
pub use vocabulary::{TextUnit, Vocabulary};
pub use windows::{TextWindow, TextWindows};
