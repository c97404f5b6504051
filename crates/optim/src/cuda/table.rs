//! How a launch describes its tensors: a table passed as a kernel argument, so that nothing is copied to the device first.

/// Threads per block.
pub(crate) const THREADS: usize = 256;

/// Elements per block: sixteen per thread. Not measured.
pub(crate) const CHUNK: usize = 16 * THREADS;

/// Words of the table. A kernel's arguments may take 32,764 bytes from CUDA 12.1 on.
pub(crate) const TABLE_WORDS: usize = 4000;

/// Words of a tensor's entry before its constants: weights, gradient, anchor, three states, first block and length, freshness.
pub(crate) const HEAD_WORDS: usize = 8;

/// The most elements per tensor: kernels count in 32 bits.
pub(crate) const MOST_ELEMENTS: usize = (1 << 31) - 1;

/// The kernel argument.
#[repr(C)]
pub(crate) struct Table(pub(crate) [u64; TABLE_WORDS]);

/// One parameter: device addresses and numbers.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) weights: u64,
    pub(crate) gradient: u64,
    /// The second copy to pull; 0 if there is none.
    pub(crate) anchor: u64,
    pub(crate) state: [u64; 3],
    pub(crate) len: usize,
    /// Whether the state counts as zero, whatever it holds.
    pub(crate) fresh: bool,
    pub(crate) constants: Vec<f64>,
}

/// Rejects a tensor with more elements than [`MOST_ELEMENTS`].
pub(crate) fn require_length(elements: usize) -> candle_core::Result<()> {
    if elements > MOST_ELEMENTS {
        candle_core::bail!(
            "lookahead-optim: a parameter of {elements} elements is too long for a CUDA device: at most {MOST_ELEMENTS}; split it"
        );
    }
    Ok(())
}

/// Words of an entry with this many constants, two per word.
pub(crate) fn item_words(constants: usize) -> usize {
    HEAD_WORDS + constants.div_ceil(2)
}

/// Tensors that fit into one launch; 0 for a formula that is too long for any.
pub(crate) fn items_per_launch(constants: usize) -> usize {
    TABLE_WORDS / item_words(constants)
}

/// The table of at most [`items_per_launch`] tensors of one formula, none of them empty, and the blocks they take.
pub(crate) fn pack(items: &[Item]) -> (Box<Table>, u32) {
    let mut table = Box::new(Table([0; TABLE_WORDS]));
    let words = item_words(items.first().map_or(0, |item| item.constants.len()));
    let mut blocks = 0u32;
    for (item, to) in items.iter().zip(table.0.chunks_exact_mut(words)) {
        to[..3].copy_from_slice(&[item.weights, item.gradient, item.anchor]);
        to[3..6].copy_from_slice(&item.state);
        to[6] = u64::from(blocks) << 32 | item.len as u64;
        to[7] = u64::from(item.fresh);
        for (pair, word) in item.constants.chunks(2).zip(&mut to[HEAD_WORDS..]) {
            let bits = |value: &f64| u64::from((*value as f32).to_bits());
            *word = bits(&pair[0]) | pair.get(1).map_or(0, bits) << 32;
        }
        blocks += item.len.div_ceil(CHUNK) as u32;
    }
    (table, blocks)
}
