//! PyTorch's file format before 1.6: consecutive pickles, then the bytes of each storage.
//!
//! ```text
//! magic number | version | the writer's machine | the object | storage keys | for each key: count (i64), values
//! ```
//!
//! The first five are pickles.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{BufReader, Read},
    path::Path,
};

use candle_core::{Error, Result, Tensor, bail, pickle::Object};

use super::{pickle, unpickle};

/// The pickled number at the start of these files; at ten bytes it is too long for candle's reader.
const MAGIC: [u8; 15] = *b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";

pub(super) fn starts(first: &[u8]) -> bool {
    first.starts_with(&MAGIC)
}

pub(super) fn read(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut file = BufReader::new(file);
    file.read_exact(&mut [0; MAGIC.len()])?;
    let _version = unpickle::object(&mut file)?;
    let _machine = unpickle::object(&mut file)?;
    let object = unpickle::object(&mut file)?;
    let Object::List(keys) = unpickle::object(&mut file)? else { bail!("the list of storages is missing") };

    // Storages do not record the size of their values; the tensors that name them do.
    let mut sizes = HashMap::new();
    pickle::value_sizes(&object, &mut sizes);
    let mut storages = HashMap::new();
    for key in keys {
        let key = key.unicode().map_err(|key| Error::Msg(format!("the key of a storage is not text: {key:?}")))?;
        let Some(size) = sizes.get(&key) else {
            bail!("the type of storage {key} is not supported: save the state dict as safetensors")
        };
        let mut count = [0; 8];
        file.read_exact(&mut count)?;
        let bytes = u64::from_le_bytes(count).checked_mul(*size).filter(|&bytes| bytes <= length);
        let Some(bytes) = bytes else { bail!("storage {key} is longer than the file") };
        let mut values = vec![0; bytes as usize];
        file.read_exact(&mut values)?;
        storages.insert(key, values);
    }
    let mut tensors = BTreeMap::new();
    for (name, place) in pickle::state_dict(&object)? {
        let Some(storage) = storages.get(&place.storage) else { bail!("{name}: its storage is missing") };
        let tensor = pickle::tensor(&name, &place, storage)?;
        tensors.insert(name, tensor);
    }
    Ok(tensors)
}
