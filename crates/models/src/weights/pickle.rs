//! The common part of PyTorch's two formats: a pickled object whose tensors name a storage and a place in it.
//!
//! Nothing is executed: candle's reader turns a pickle into a tree of plain values, in which `_rebuild_tensor_v2` and the like are just
//! names. The tree is not deep ([`unpickle`](super::unpickle)), so that it may be walked and dropped.

use std::collections::HashMap;

use candle_core::{DType, Device, Result, Shape, Tensor, bail, pickle::Object};

/// Keys under which training programs save the state dict.
const KEYS: [&str; 3] = ["state_dict", "model", "model_state_dict"];

/// A tensor of a state dict; strides and offset count values, not bytes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Place {
    pub(super) storage: String,
    dtype: DType,
    offset: usize,
    dims: Vec<usize>,
    strides: Vec<usize>,
}

/// The tensors of a state dict, which is `object` or is stored in it under one of [`KEYS`]; empty if there is no state dict.
pub(super) fn state_dict(object: &Object) -> Result<Vec<(String, Place)>> {
    let Object::Dict(entries) = object else { return Ok(Vec::new()) };
    // First the nested one: a checkpoint may have other tensors beside it, such as the best accuracy.
    for (name, value) in entries {
        if let (Object::Unicode(name), Object::Dict(nested)) = (name, value)
            && KEYS.contains(&name.as_str())
        {
            let nested = tensors(nested)?;
            if !nested.is_empty() {
                return Ok(nested);
            }
        }
    }
    tensors(entries)
}

fn tensors(entries: &[(Object, Object)]) -> Result<Vec<(String, Place)>> {
    let mut tensors = Vec::new();
    for (name, value) in entries {
        if let (Object::Unicode(name), Some(arguments)) = (name, rebuilt(value)) {
            let Some(place) = place(arguments) else { bail!("{name}: not a tensor of 16, 32 or 64 bits") };
            if views(arguments) {
                bail!(
                    "{name}: views of a storage, from PyTorch before 0.4, are not supported: save the state dict again"
                )
            }
            tensors.push((name.clone(), place));
        }
    }
    Ok(tensors)
}

/// The arguments of `_rebuild_tensor_v2` if `value` is a tensor or a parameter.
fn rebuilt(value: &Object) -> Option<&[Object]> {
    let Object::Reduce { callable, args } = value else { return None };
    let (Object::Class { class_name, .. }, Object::Tuple(args)) = (callable.as_ref(), args.as_ref()) else {
        return None;
    };
    match class_name.as_str() {
        "_rebuild_tensor_v2" => Some(args),
        // The tensor is the first argument.
        "_rebuild_parameter" => rebuilt(args.first()?),
        // The function, the class and the function's arguments.
        "_rebuild_from_type_v2" => match args.get(2)? {
            Object::Tuple(args) => Some(args),
            _ => None,
        },
        _ => None,
    }
}

fn place(arguments: &[Object]) -> Option<Place> {
    let [storage, offset, Object::Tuple(dims), Object::Tuple(strides), ..] = arguments else { return None };
    let (storage, class) = named(storage)?;
    let dtype = match class {
        "HalfStorage" => DType::F16,
        "BFloat16Storage" => DType::BF16,
        "FloatStorage" => DType::F32,
        "DoubleStorage" => DType::F64,
        "ShortStorage" => DType::I16,
        "IntStorage" => DType::I32,
        "LongStorage" => DType::I64,
        "ByteStorage" => DType::U8,
        _ => return None,
    };
    let number = |object: &Object| match *object {
        Object::Int(value) => usize::try_from(value).ok(),
        Object::Long(value) => usize::try_from(value).ok(),
        _ => None,
    };
    let numbers = |objects: &[Object]| objects.iter().map(number).collect::<Option<Vec<_>>>();
    let (storage, offset) = (storage.to_string(), number(offset)?);
    Some(Place { storage, dtype, offset, dims: numbers(dims)?, strides: numbers(strides)? })
}

/// Whether the storage is a part of another, with a field for the part after those of [`named`].
fn views(arguments: &[Object]) -> bool {
    let Some(Object::PersistentLoad(fields)) = arguments.first() else { return false };
    matches!(fields.as_ref(), Object::Tuple(fields) if fields.get(5).is_some_and(|view| !matches!(view, Object::None)))
}

/// Key and type of a storage, stored as ("storage", type, key, device, count), plus a view or None in the older format.
fn named(storage: &Object) -> Option<(&str, &str)> {
    let Object::PersistentLoad(fields) = storage else { return None };
    let Object::Tuple(fields) = fields.as_ref() else { return None };
    let [_, Object::Class { class_name, .. }, Object::Unicode(key), ..] = fields.as_slice() else { return None };
    Some((key, class_name))
}

/// Bytes per value of each storage that `object` names anywhere, including an optimizer's.
pub(super) fn value_sizes(object: &Object, sizes: &mut HashMap<String, u64>) {
    match object {
        Object::Tuple(objects) | Object::List(objects) => objects.iter().for_each(|object| value_sizes(object, sizes)),
        Object::Dict(entries) => entries.iter().for_each(|(_, value)| value_sizes(value, sizes)),
        Object::Reduce { callable, args } | Object::Build { callable, args } => {
            value_sizes(callable, sizes);
            value_sizes(args, sizes);
        }
        Object::PersistentLoad(_) => {
            let Some((key, class)) = named(object) else { return };
            let size = match class {
                "ByteStorage" | "CharStorage" | "BoolStorage" => 1,
                "HalfStorage" | "BFloat16Storage" | "ShortStorage" => 2,
                "FloatStorage" | "IntStorage" => 4,
                "DoubleStorage" | "LongStorage" => 8,
                _ => return,
            };
            sizes.insert(key.to_string(), size);
        }
        _ => {}
    }
}

/// The tensor at `place` in the storage with these bytes, contiguous.
pub(super) fn tensor(name: &str, place: &Place, storage: &[u8]) -> Result<Tensor> {
    let Place { dtype, offset, dims, strides, storage: _ } = place;
    let size = dtype.size_in_bytes();
    let held = storage.len() / size;
    let last = dims.iter().zip(strides).try_fold(*offset, |last, (&dim, &stride)| {
        dim.saturating_sub(1).checked_mul(stride).and_then(|reach| last.checked_add(reach))
    });
    let count = dims.iter().try_fold(1usize, |count, &dim| count.checked_mul(dim)).filter(|&count| count <= held);
    let (Some(last), Some(count)) = (last, count) else { bail!("{name}: the tensor exceeds its storage") };
    if dims.len() != strides.len() || *offset > held || (count > 0 && last >= held) {
        bail!("{name}: the tensor exceeds its storage");
    }
    if Shape::from(dims.as_slice()).is_contiguous(strides) {
        let (start, end) = (offset * size, (offset + count) * size);
        return Tensor::from_raw_buffer(storage.get(start..end).unwrap_or_default(), *dtype, dims, &Device::Cpu);
    }
    let mut bytes = Vec::with_capacity(count * size);
    for index in 0..count {
        let (mut rest, mut at) = (index, *offset);
        for (&dim, &stride) in dims.iter().zip(strides).rev() {
            at += rest % dim * stride;
            rest /= dim;
        }
        bytes.extend_from_slice(&storage[at * size..(at + 1) * size]);
    }
    Tensor::from_raw_buffer(&bytes, *dtype, dims, &Device::Cpu)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: usize, dims: &[usize], strides: &[usize]) -> Place {
        let (dims, strides) = (dims.to_vec(), strides.to_vec());
        Place { storage: "0".to_string(), dtype: DType::U8, offset, dims, strides }
    }

    #[test]
    fn strides_and_offsets_are_followed() {
        let storage = [9, 0, 1, 2, 3, 4, 5];
        let read =
            |place: &Place| tensor("x", place, &storage).unwrap().flatten_all().unwrap().to_vec1::<u8>().unwrap();
        assert_eq!(read(&at(1, &[2, 3], &[3, 1])), [0, 1, 2, 3, 4, 5]);
        // Its transpose.
        assert_eq!(read(&at(1, &[3, 2], &[1, 3])), [0, 3, 1, 4, 2, 5]);
        assert_eq!(read(&at(6, &[], &[])), [5]);
        assert_eq!(read(&at(7, &[0], &[1])), [0; 0]);
    }

    /// A state dict of one tensor, with these fields after a storage's count.
    fn of_storage(more: Vec<Object>) -> Object {
        let text = |text: &str| Object::Unicode(text.to_string());
        let class = |class_name: &str| Object::Class { module_name: "torch".into(), class_name: class_name.into() };
        let mut fields = vec![text("storage"), class("FloatStorage"), text("7"), text("cpu"), Object::Int(4)];
        fields.extend(more);
        let numbers = |number| Object::Tuple(vec![Object::Int(number)]);
        let storage = Object::PersistentLoad(Box::new(Object::Tuple(fields)));
        let args = Object::Tuple(vec![storage, Object::Int(0), numbers(2), numbers(1)]);
        let tensor = Object::Reduce { callable: Box::new(class("_rebuild_tensor_v2")), args: Box::new(args) };
        Object::Dict(vec![(text("w"), tensor)])
    }

    #[test]
    fn a_view_of_a_storage_is_refused() {
        for whole in [vec![], vec![Object::None]] {
            assert_eq!(state_dict(&of_storage(whole)).unwrap()[0].1.storage, "7");
        }
        let view = Object::Tuple(vec![Object::Unicode("8".to_string()), Object::Int(2), Object::Int(2)]);
        let error = state_dict(&of_storage(vec![view])).unwrap_err().to_string();
        assert!(error.starts_with("w: views of a storage"), "{error}");
    }

    /// A checkpoint may have other tensors, such as the best accuracy, beside the state dict; and a state dict may have a part of that name.
    #[test]
    fn a_nested_state_dict_is_found_beside_other_tensors() {
        let Object::Dict(inner) = of_storage(vec![]) else { panic!("no dict") };
        let text = |text: &str| Object::Unicode(text.to_string());
        let tensor = inner[0].1.clone();
        let names = |object: &Object| -> Vec<String> {
            state_dict(object).unwrap().into_iter().map(|(name, _)| name).collect()
        };
        let best = (text("best_acc1"), tensor.clone());
        let nested = (text("state_dict"), Object::Dict(inner));
        assert_eq!(names(&Object::Dict(vec![best.clone(), nested])), ["w"]);
        let empty = (text("model"), Object::Dict(vec![]));
        assert_eq!(names(&Object::Dict(vec![empty, best])), ["best_acc1"]);
    }

    #[test]
    fn places_beyond_the_storage_are_refused() {
        let storage = [0; 7];
        for place in [
            at(2, &[2, 3], &[3, 1]),
            at(7, &[], &[]),
            at(usize::MAX, &[0], &[1]),
            at(0, &[8], &[0]),
            at(0, &[2], &[usize::MAX]),
            at(1, &[2, 2], &[1, usize::MAX]),
            at(0, &[usize::MAX, 2], &[0, 0]),
            at(0, &[2, 2], &[1]),
        ] {
            assert!(tensor("x", &place, &storage).is_err(), "{place:?}");
        }
    }
}
