//! Files of named tensors, recognised by their first bytes.

use std::{collections::BTreeMap, fs::File, io::Read, path::Path};

use candle_core::{Device, Tensor};

use super::{legacy, zipped};
use crate::{Error, Result};

/// Maximum length of a safetensors header in bytes: a network of a million tensors needs less.
const LONGEST_HEADER: u64 = 100 << 20;

pub(super) fn read(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let failed = |source: candle_core::Error| Error::File { path: path.to_path_buf(), source };
    let other = |problem| Err(Error::Format { path: path.to_path_buf(), problem });

    let mut first = Vec::new();
    File::open(path).and_then(|file| file.take(16).read_to_end(&mut first)).map_err(|error| failed(error.into()))?;
    let tensors = if zipped::starts(&first) {
        zipped::read(path).map_err(failed)?
    } else if legacy::starts(&first) {
        legacy::read(path).map_err(failed)?
    } else if safetensors(&first) {
        candle_core::safetensors::load(path, &Device::Cpu).map_err(failed)?.into_iter().collect()
    } else if first.is_empty() {
        return other("the file is empty");
    } else {
        return other("neither safetensors nor a file of torch.save: save the state dict as safetensors");
    };
    if tensors.is_empty() {
        return other("no state dict found: save it alone, as `torch.save(net.state_dict(), path)` does");
    }
    Ok(tensors)
}

/// safetensors starts with the length of a JSON object, then the object.
fn safetensors(first: &[u8]) -> bool {
    let length = first.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes));
    length.is_some_and(|length| (2..=LONGEST_HEADER).contains(&length)) && first.get(8) == Some(&b'{')
}
