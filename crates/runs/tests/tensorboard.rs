//! The event files, read by TensorBoard's own reader.
//!
//! Needs a Python with `tensorboard` (`pip install tensorboard`): `$LOOKAHEAD_PYTHON`, or `python3`. Says so when it skips.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod reader;

use lookahead_runs::EventWriter;
use reader::read;
use serde_json::json;

/// A PNG of one gray pixel a row and column: header, one stored deflate block, end; checksums as the format asks.
fn png(width: u32, height: u32) -> Vec<u8> {
    fn crc(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0u32, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
        })
    }
    fn chunk(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let named = [name.as_slice(), content].concat();
        [&(content.len() as u32).to_be_bytes(), named.as_slice(), &crc(&named).to_be_bytes()].concat()
    }
    let rows = vec![0x60u8; (height * (3 * width + 1)) as usize]
        .chunks_mut((3 * width + 1) as usize)
        .flat_map(|row| {
            row[0] = 0;
            row.to_vec()
        })
        .collect::<Vec<u8>>();
    let adler = rows.iter().fold((1u32, 0u32), |(a, b), &byte| {
        let a = (a + u32::from(byte)) % 65521;
        (a, (a + b) % 65521)
    });
    let length = (rows.len() as u16).to_le_bytes();
    let inverse = (!(rows.len() as u16)).to_le_bytes();
    let deflated =
        [&[0x78, 1, 1], length.as_slice(), &inverse, &rows, &(adler.1 << 16 | adler.0).to_be_bytes()].concat();
    let header = [width.to_be_bytes().as_slice(), &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(b"IHDR", &header), chunk(b"IDAT", &deflated), chunk(b"IEND", &[])].concat()
}

#[test]
fn tensorboard_lists_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut events = EventWriter::create(folder.path(), 0).unwrap();
    events.text("config", 0, 0.0, "    epochs = 5\n    name = \"<b> π\"").unwrap();
    events.image("batch", 0, 0.5, 5, 3, &png(5, 3)).unwrap();
    for step in 0..300u64 {
        events.scalar("train/loss", step, step as f64 * 0.25, 2.0 / (step + 1) as f64).unwrap();
    }
    events.scalar("valid/top1", 299, 75.0, 71.25).unwrap();
    events.scalar("odd", 1 << 40, 1e9, f64::NAN).unwrap();
    events.flush().unwrap();
    let Some(found) = read(folder.path()) else { return };
    let loss = found["scalars"]["train/loss"].as_array().unwrap();
    assert_eq!(loss.len(), 300);
    assert_eq!(loss[3], json!([0.75, 3, 0.5]));
    assert_eq!(found["scalars"]["valid/top1"], json!([[75.0, 299, 71.25]]));
    assert_eq!(found["scalars"]["odd"], json!([[1e9, 1u64 << 40, null]]));
    assert_eq!(found["texts"]["config"], json!(["    epochs = 5\n    name = \"<b> π\""]));
    assert_eq!(found["images"]["batch"], json!([[0, 5, 3, 5, 3]]));
}

/// Stopped at step 50, resumed from a checkpoint of step 40: what lay between is not shown twice.
#[test]
fn a_resumed_run_is_one_curve() {
    let folder = tempfile::tempdir().unwrap();
    for (from, to, value) in [(0u64, 50u64, 1.0), (40, 60, 2.0)] {
        let mut events = EventWriter::create(folder.path(), from).unwrap();
        for step in from..to {
            events.scalar("train/loss", step, step as f64, value).unwrap();
        }
        events.flush().unwrap();
    }
    let Some(found) = read(folder.path()) else { return };
    let loss = found["scalars"]["train/loss"].as_array().unwrap();
    let steps: Vec<u64> = loss.iter().map(|point| point[1].as_u64().unwrap()).collect();
    assert_eq!(steps, (0..60).collect::<Vec<_>>());
    assert_eq!((&loss[39][2], &loss[40][2]), (&json!(1.0), &json!(2.0)));
}

/// A writer that was killed leaves a record cut short; TensorBoard must still give what came before.
#[test]
fn a_file_cut_short_is_read_up_to_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut events = EventWriter::create(folder.path(), 0).unwrap();
    for step in 0..10 {
        events.scalar("train/loss", step, 0.0, 1.0).unwrap();
    }
    events.flush().unwrap();
    let bytes = std::fs::read(events.path()).unwrap();
    std::fs::write(events.path(), &bytes[..bytes.len() - 9]).unwrap();
    let Some(found) = read(folder.path()) else { return };
    assert_eq!(found["scalars"]["train/loss"].as_array().unwrap().len(), 9);
}
