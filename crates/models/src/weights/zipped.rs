//! PyTorch's file format since 1.6: a zip archive, uncompressed, of one folder.
//!
//! ```text
//! NAME/data.pkl     the object, pickled
//! NAME/byteorder    little, or big; not in older files
//! NAME/data/KEY     the bytes of a storage
//! ```

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{BufReader, Read},
    path::Path,
};

use candle_core::{Result, Tensor, bail};
use zip::ZipArchive;

use super::{pickle, unpickle};

pub(super) fn starts(first: &[u8]) -> bool {
    first.starts_with(b"PK\x03\x04")
}

/// The tensors of the state dict; empty if the archive holds another object or is not PyTorch's.
pub(super) fn read(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let mut archive = ZipArchive::new(BufReader::new(File::open(path)?))?;
    let names = archive.file_names().map(|name| Ok(name?.into_owned())).collect::<Result<Vec<String>>>()?;
    let Some(folder) = names.iter().find_map(|name| name.strip_suffix("data.pkl")) else { return Ok(BTreeMap::new()) };
    let order = format!("{folder}byteorder");
    if names.contains(&order) && bytes(&mut archive, &order)? == b"big" {
        bail!("it was written on a big-endian machine: save the state dict as safetensors");
    }

    let object = unpickle::object(&mut bytes(&mut archive, &format!("{folder}data.pkl"))?.as_slice())?;
    let (mut storages, mut tensors) = (HashMap::new(), BTreeMap::new());
    for (name, place) in pickle::state_dict(&object)? {
        if !storages.contains_key(&place.storage) {
            let storage = bytes(&mut archive, &format!("{folder}data/{}", place.storage))?;
            storages.insert(place.storage.clone(), storage);
        }
        let tensor = pickle::tensor(&name, &place, &storages[&place.storage])?;
        tensors.insert(name, tensor);
    }
    Ok(tensors)
}

fn bytes(archive: &mut ZipArchive<BufReader<File>>, name: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    archive.by_name(name)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}
