//! TensorBoard event files, written during training.
//!
//! An event file is a sequence of TFRecords, each a protocol-buffer `Event`. Both formats are small and stable, so they
//! are implemented here: a dependency would add a code generator for five messages.
//!
//! A record is the payload's length (u64, little endian), the masked CRC-32C of those eight bytes, the payload, and the
//! masked CRC-32C of the payload. References: `tensorflow/core/lib/io/record_writer.h`,
//! `tensorboard/compat/proto/event.proto` and `summary.proto`.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Writes one event file of a run.
///
/// A resumed run opens a second file, which starts at the step it resumes from and makes TensorBoard discard the events
/// of earlier files from that step on. File names contain the first step instead of the time of day, so the same run
/// gives the same names.
///
/// `seconds` is what TensorBoard shows on its *wall time* axis: pass the training time since the run's start.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// use lookahead_runs::EventWriter;
/// let mut events = EventWriter::create(folder.path(), 0)?;
/// events.text("config", 0, 0.0, "    epochs = 5")?;
/// events.scalar("train/loss", 50, 1.5, 2.25)?;
/// events.flush()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct EventWriter {
    file: BufWriter<File>,
    path: PathBuf,
}

impl EventWriter {
    /// Creates the event file in `folder` for steps from `first_step` on, 0 for a new run. Creates the folder if it is
    /// missing.
    ///
    /// Event files that start at a later step are removed: the run repeats those steps.
    ///
    /// # Errors
    /// [`Error::Output`] if the file or folder cannot be written, or an old file cannot be removed.
    pub fn create(folder: &Path, first_step: u64) -> Result<Self> {
        fs::create_dir_all(folder).map_err(Error::output("create", folder))?;
        let name = |step: u64| format!("events.out.tfevents.{step:012}.lookahead");
        for entry in fs::read_dir(folder).map_err(Error::output("read", folder))?.flatten() {
            let other = entry.file_name();
            let later = other.to_str().is_some_and(|other| {
                other.starts_with("events.out.tfevents.")
                    && other.ends_with(".lookahead")
                    && other > name(first_step).as_str()
            });
            if later {
                fs::remove_file(entry.path()).map_err(Error::output("remove", &entry.path()))?;
            }
        }
        let path = folder.join(name(first_step));
        let file = File::create(&path).map_err(Error::output("write", &path))?;
        let mut writer = Self { file: BufWriter::new(file), path };
        writer.event(0.0, 0, &Message::new().bytes(3, b"brain.Event:2"))?;
        if first_step > 0 {
            // SessionLog { status: START }: events of this step and later ones in earlier files are void.
            writer.event(0.0, first_step, &Message::new().message(7, &Message::new().varint(1, 1)))?;
        }
        writer.flush()?;
        Ok(writer)
    }

    /// Writes a number at a step, such as `train/loss`, in single precision.
    ///
    /// # Errors
    /// [`Error::Output`] if the file cannot be written.
    pub fn scalar(&mut self, tag: &str, step: u64, seconds: f64, value: f64) -> Result<()> {
        // TensorBoard keeps scalars in single precision.
        let value = Message::new().bytes(1, tag.as_bytes()).fixed32(2, (value as f32).to_bits());
        self.summary(step, seconds, &value)
    }

    /// Writes a text, shown as Markdown. Indent every line by four spaces to show it verbatim.
    ///
    /// # Errors
    /// [`Error::Output`] if the file cannot be written.
    pub fn text(&mut self, tag: &str, step: u64, seconds: f64, text: &str) -> Result<()> {
        const DT_STRING: u64 = 7;
        let plugin = Message::new().message(1, &Message::new().bytes(1, b"text"));
        // A tensor of rank 0.
        let tensor = Message::new().varint(1, DT_STRING).message(2, &Message::new()).bytes(8, text.as_bytes());
        let value = Message::new().bytes(1, tag.as_bytes()).message(9, &plugin).message(8, &tensor);
        self.summary(step, seconds, &value)
    }

    /// Writes an image: the bytes of a PNG or JPEG file of `width` x `height` pixels with three channels.
    ///
    /// # Errors
    /// [`Error::Output`] if the file cannot be written.
    pub fn image(&mut self, tag: &str, step: u64, seconds: f64, width: u32, height: u32, encoded: &[u8]) -> Result<()> {
        const RGB: u64 = 3;
        let image = Message::new().varint(1, height.into()).varint(2, width.into()).varint(3, RGB).bytes(4, encoded);
        let value = Message::new().bytes(1, tag.as_bytes()).message(4, &image);
        self.summary(step, seconds, &value)
    }

    /// Flushes the buffer to the operating system, so that TensorBoard sees what was written.
    ///
    /// # Errors
    /// [`Error::Output`] if the file cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        self.file.flush().map_err(Error::output("write", &self.path))
    }

    /// Path of the event file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn summary(&mut self, step: u64, seconds: f64, value: &Message) -> Result<()> {
        self.event(seconds, step, &Message::new().message(5, &Message::new().message(1, value)))
    }

    fn event(&mut self, seconds: f64, step: u64, what: &Message) -> Result<()> {
        let mut event = Message::new().fixed64(1, seconds.to_bits()).varint(2, step);
        event.bytes.extend_from_slice(&what.bytes);
        self.file.write_all(&record(&event.bytes)).map_err(Error::output("write", &self.path))
    }
}

/// A protocol-buffer message: fields one after another, each a tag (number and wire type) and a value.
#[derive(Debug, Default)]
struct Message {
    bytes: Vec<u8>,
}

impl Message {
    fn new() -> Self {
        Self::default()
    }

    fn varint(mut self, field: u32, value: u64) -> Self {
        self.tag(field, 0);
        self.push_varint(value);
        self
    }

    fn fixed64(mut self, field: u32, bits: u64) -> Self {
        self.tag(field, 1);
        self.bytes.extend_from_slice(&bits.to_le_bytes());
        self
    }

    fn bytes(mut self, field: u32, bytes: &[u8]) -> Self {
        self.tag(field, 2);
        self.push_varint(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
        self
    }

    fn message(self, field: u32, message: &Self) -> Self {
        self.bytes(field, &message.bytes)
    }

    fn fixed32(mut self, field: u32, bits: u32) -> Self {
        self.tag(field, 5);
        self.bytes.extend_from_slice(&bits.to_le_bytes());
        self
    }

    fn tag(&mut self, field: u32, wire_type: u32) {
        self.push_varint(u64::from(field << 3 | wire_type));
    }

    fn push_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }
}

fn record(payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u64).to_le_bytes();
    let parts: [&[u8]; 4] =
        [&length, &masked(crc32c(&length)).to_le_bytes(), payload, &masked(crc32c(payload)).to_le_bytes()];
    parts.concat()
}

/// TFRecord masks the checksums it stores, because the CRC of data with embedded CRCs is problematic.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), bit-reflected, byte by byte; the same as in RFC 3720, appendix B.4.
fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            let mut crc = byte as u32;
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
                bit += 1;
            }
            table[byte] = crc;
            byte += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |crc, &byte| crc >> 8 ^ TABLE[((crc ^ u32::from(byte)) & 0xff) as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 3720, B.4.
    #[test]
    fn the_checksum_is_that_of_the_standard() {
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(&(0..32).collect::<Vec<u8>>()), 0x46dd_794e);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    /// Field 1 = 150, the example of the encoding's documentation, and a nested message.
    #[test]
    fn messages_are_encoded_as_documented() {
        assert_eq!(Message::new().varint(1, 150).bytes, [0x08, 0x96, 0x01]);
        assert_eq!(Message::new().bytes(2, b"testing").bytes, b"\x12\x07testing");
        assert_eq!(Message::new().message(3, &Message::new().varint(1, 150)).bytes, [0x1a, 3, 0x08, 0x96, 0x01]);
    }

    #[test]
    fn a_resumed_run_drops_the_files_it_does_again() {
        let folder = tempfile::tempdir().unwrap();
        for step in [0, 400, 800] {
            EventWriter::create(folder.path(), step).unwrap();
        }
        EventWriter::create(folder.path(), 400).unwrap();
        let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["events.out.tfevents.000000000000.lookahead", "events.out.tfevents.000000000400.lookahead"]);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let error = EventWriter::create(&folder.path().join("file"), 0).unwrap_err();
        assert!(error.to_string().contains("file"), "{error}");
    }
}
