//! Reads a pickle one opcode at a time: candle's reader nests its values without limit, and a value that is nested a million deep, a byte
//! each in the file, overflows the stack when it is copied or dropped.

use std::io::{BufRead, Read as _};

use candle_core::{
    Result, bail,
    pickle::{Object, OpCode, Stack},
};

/// Most containers around a value: a module inside a module takes three, a state dict eight.
const MAX_DEPTH: usize = 128;

/// The next pickled object of `file`.
pub(super) fn object(file: &mut impl BufRead) -> Result<Object> {
    let mut stack = Stack::empty();
    // The depth of each object on the stack: the number of containers from it down to its deepest value.
    let mut depths: Vec<usize> = Vec::new();
    loop {
        let next = file.fill_buf()?.first().copied();
        let operation = next.and_then(|byte| OpCode::try_from(byte).ok());
        let ended = if operation == Some(OpCode::Long1) { number(file, &mut stack)? } else { stack.read(file)? };
        if ended {
            return stack.finalize();
        }
        let left = stack.stack().len();
        if left > depths.len() {
            // A new value, or a copy of one that was noted.
            depths.extend(stack.stack().last().map(depth));
            continue;
        }
        let first = left.saturating_sub(1);
        let taken = &depths[first..];
        let depth = match operation {
            Some(OpCode::Proto | OpCode::BinPut | OpCode::LongBinPut) => continue,
            // The last object stays and takes in those after it.
            Some(OpCode::Append | OpCode::Appends | OpCode::SetItem | OpCode::SetItems) => match taken {
                [last, inner @ ..] => inner.iter().map(|depth| depth + 1).fold(*last, usize::max),
                [] => 0,
            },
            // A new object holds all that were taken.
            _ => taken.iter().map(|depth| depth + 1).fold(0, usize::max),
        };
        if depth > MAX_DEPTH {
            bail!("its objects are nested more than {MAX_DEPTH} deep: save the state dict as safetensors")
        }
        depths.truncate(first);
        depths.push(depth);
    }
}

/// Reads a number of any length. One of more than 64 bits is no size or offset, and candle cannot read it: it becomes None.
fn number(file: &mut impl BufRead, stack: &mut Stack) -> Result<bool> {
    let mut start = [0; 2];
    file.read_exact(&mut start)?;
    if start[1] <= 8 {
        return stack.read(&mut start.as_slice().chain(file));
    }
    file.read_exact(&mut vec![0; start[1].into()])?;
    stack.read(&mut b"N".as_slice())
}

/// The depth of an object, which is at most [`MAX_DEPTH`].
fn depth(object: &Object) -> usize {
    let deepest = |objects: &[Object]| objects.iter().map(|object| depth(object) + 1).max().unwrap_or(0);
    match object {
        Object::Tuple(objects) | Object::List(objects) => deepest(objects),
        Object::Dict(entries) => entries.iter().map(|(key, value)| depth(key).max(depth(value)) + 1).max().unwrap_or(0),
        Object::Reduce { callable, args } | Object::Build { callable, args } => depth(callable).max(depth(args)) + 1,
        Object::PersistentLoad(id) => depth(id) + 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(parts: &[&[u8]]) -> Result<Object> {
        let bytes = parts.concat();
        let mut rest = bytes.as_slice();
        let object = object(&mut rest)?;
        assert!(rest.is_empty());
        Ok(object)
    }

    /// Every kind of container, and copies of noted values.
    #[test]
    fn a_million_levels_are_refused() {
        const COUNT: usize = 1_000_000;
        let times = |part: &[u8], count: usize| part.repeat(count);
        for (first, around) in [
            (&b")"[..], &b"\x85"[..]), // tuples of one
            (b"N", b"N\x86"),          // of two
            (b"N", b"NN\x87"),         // of three
            (b")", b"Q"),              // storages
            (b")", b")R"),             // calls
            (b")", b")\x81"),          // objects
            (b")", b")b"),             // their states
            (b")", b"q\x00h\x00\x85"), // copies
        ] {
            let error = read(&[b"\x80\x02", first, &times(around, COUNT), b"."]).unwrap_err().to_string();
            assert!(error.starts_with("its objects are nested more than 128 deep"), "{error}");
        }
        for (open, close) in [
            (&b"]"[..], &b"a"[..]), // lists
            (b"](", b"e"),
            (b"}N", b"s"), // dicts
            (b"}(N", b"u"),
            (b"(", b"t"),
        ] {
            let error = read(&[&times(open, COUNT), b"N", &times(close, COUNT), b"."]).unwrap_err().to_string();
            assert!(error.starts_with("its objects are nested more than 128 deep"), "{error}");
        }
    }

    /// A noted value of a hundred levels, inside another hundred.
    #[test]
    fn a_copy_keeps_its_depth() {
        let levels = |count| b"\x85".repeat(count);
        let of = |outside| read(&[b")", &levels(100), b"q\x00h\x00", &levels(outside), b"."]);
        assert_eq!(depth(&of(28).unwrap()), 128);
        assert!(of(29).is_err());
    }

    /// A long list is not a deep one.
    #[test]
    fn lists_and_dicts_may_be_long() {
        let list = read(&[b"]", &b"Na(NNe".repeat(1000), b"."]).unwrap();
        assert!(matches!(list, Object::List(items) if items.len() == 3000));
        let dict = read(&[b"}", &b"NNs(NNNNu".repeat(1000), b"."]).unwrap();
        assert!(matches!(dict, Object::Dict(entries) if entries.len() == 3000));
    }

    /// Seeds have up to 65 bits with their sign.
    #[test]
    fn numbers_of_more_than_64_bits_are_none() {
        let number = |length: u8| read(&[&[0x8a, length], &vec![1; length.into()], b"."]);
        assert_eq!(number(2).unwrap(), Object::Long(0x0101));
        assert_eq!(number(8).unwrap(), Object::Long(0x0101_0101_0101_0101));
        for length in [9, 32, 255] {
            assert_eq!(number(length).unwrap(), Object::None);
        }
        assert!(read(&[&[0x8a, 200], b"."]).is_err());
    }
}
