//! The CUDA sources, and the text to compile for an element type.

#[cfg(feature = "cuda")]
use candle_core::DType;

use crate::cuda::filters;

/// The storage type of elements on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ElementType {
    F32,
    F64,
    Bf16,
}

impl ElementType {
    /// `None` for types without kernels.
    #[cfg(feature = "cuda")]
    pub(crate) fn of(dtype: DType) -> Option<Self> {
        match dtype {
            DType::F32 => Some(Self::F32),
            DType::F64 => Some(Self::F64),
            DType::BF16 => Some(Self::Bf16),
            _ => None,
        }
    }

    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F64 => 8,
            Self::Bf16 => 2,
        }
    }

    /// The type of the arithmetic: f64 for f64, otherwise f32.
    pub(crate) fn wide(self) -> Self {
        if self == Self::F64 { Self::F64 } else { Self::F32 }
    }

    pub(crate) fn wide_bytes(self) -> usize {
        self.wide().bytes()
    }

    /// The type's number in the sources.
    fn code(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F64 => 1,
            Self::Bf16 => 2,
        }
    }
}

/// A file of kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum File {
    Activation,
    /// For packs of this many elements, like `Bias`.
    BatchNorm(u32),
    Bias(u32),
    CrossEntropy,
    Filters,
    Pool,
    Relu,
    RowNorm,
    /// For elements of this many bits.
    Transpose(u32),
}

/// One translation unit: a file for an element type of activations and one of parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Source {
    pub(crate) file: File,
    pub(crate) element: ElementType,
    pub(crate) parameter: ElementType,
}

impl Source {
    /// A file without parameters.
    pub(crate) fn of(file: File, element: ElementType) -> Self {
        Self { file, element, parameter: element }
    }

    /// The text to compile.
    pub(crate) fn text(self) -> String {
        // What stands between `common.cu` and the file.
        let columns = |pack: u32| format!("#define PACK {pack}\n{}", include_str!("columns.cu"));
        let (body, own) = match self.file {
            File::Activation => (include_str!("activation.cu"), String::new()),
            File::BatchNorm(pack) => (include_str!("batch_norm.cu"), columns(pack)),
            File::Bias(pack) => (include_str!("bias.cu"), columns(pack)),
            File::CrossEntropy => (include_str!("cross_entropy.cu"), String::new()),
            File::Filters => (
                include_str!("filters.cu"),
                format!("#define CHUNK {}u\n#define ITEMS {}\n", filters::CHUNK, filters::ITEMS),
            ),
            File::Pool => (include_str!("pool.cu"), String::new()),
            File::Relu => (include_str!("relu.cu"), String::new()),
            File::RowNorm => (include_str!("row_norm.cu"), String::new()),
            File::Transpose(bits) => (include_str!("transpose.cu"), format!("#define BITS {bits}\n")),
        };
        let (element, parameter) = (self.element.code(), self.parameter.code());
        let common = include_str!("common.cu");
        format!("#define ELEMENT {element}\n#define PARAMETER {parameter}\n{common}\n{own}\n{body}")
    }

    /// All units that operations may use.
    #[cfg(test)]
    pub(crate) fn all() -> Vec<Self> {
        let types = [ElementType::F32, ElementType::F64, ElementType::Bf16];
        let files = [File::Activation, File::CrossEntropy, File::Pool, File::Relu];
        let plain = types.iter().flat_map(|&t| files.map(|file| Self::of(file, t)));
        let norms = types.into_iter().map(|t| (t, t)).chain([(ElementType::Bf16, ElementType::F32)]);
        let norms = norms.flat_map(|(element, parameter)| {
            let packs: &[u32] = match element {
                ElementType::F32 => &[1, 4],
                ElementType::F64 => &[1],
                ElementType::Bf16 => &[1, 4, 8],
            };
            let of_columns = packs.iter().flat_map(|&pack| [File::BatchNorm(pack), File::Bias(pack)]);
            of_columns.chain([File::RowNorm, File::Filters]).map(move |file| Self { file, element, parameter })
        });
        let transposes = [8, 16, 32, 64].map(|bits| Self::of(File::Transpose(bits), ElementType::F32));
        plain.chain(norms).chain(transposes).collect()
    }
}
