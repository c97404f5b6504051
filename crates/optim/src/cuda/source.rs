//! The kernel of a formula, as CUDA source.

use std::fmt::Write;

use super::formula::{Formula, Node};
use super::table::{CHUNK, HEAD_WORDS, TABLE_WORDS, THREADS, item_words};

/// The kernel's name in every source.
pub(crate) const KERNEL: &str = "update";

/// A kernel that updates the tensors of a [table](super::table), one block per [chunk](CHUNK).
///
/// It performs the operations of the CPU loop one by one, in f32. Compile it without contraction into fused multiply-adds to get the same
/// bits; the speed limit is memory, not arithmetic.
pub(crate) fn source(formula: &Formula) -> String {
    let slots = formula.state.len();
    let constants = formula.nodes.iter().filter(|node| matches!(node, Node::Constant(_))).count();
    let mut text = format!(
        "struct Table {{ unsigned long long words[{TABLE_WORDS}]; }};\n\
         #define AT(k) (table.words[item * {} + (k)])\n\
         #define BLOCK(i) ((unsigned)(table.words[(i) * {} + 6] >> 32))\n\n\
         extern \"C\" __global__ void {KERNEL}(const __grid_constant__ Table table, unsigned items, const float *scale_at, float scale,\n\
         \x20                               float limit, float rate, int write_back) {{\n\
         \x20   unsigned item = 0, end = items;\n\
         \x20   while (end - item > 1) {{\n\
         \x20       unsigned middle = (item + end) / 2;\n\
         \x20       if (BLOCK(middle) <= blockIdx.x) item = middle; else end = middle;\n\
         \x20   }}\n\
         \x20   float *weights = (float *)AT(0), *anchor = (float *)AT(2);\n\
         \x20   const float *gradient = (const float *)AT(1);\n\
         \x20   unsigned length = (unsigned)AT(6), begin = (blockIdx.x - BLOCK(item)) * {CHUNK}u;\n\
         \x20   unsigned last = length - begin < {CHUNK}u ? length : begin + {CHUNK}u;\n\
         \x20   bool fresh = AT(7) != 0;\n\
         \x20   if (scale_at) scale = *scale_at;\n",
        item_words(constants),
        item_words(constants),
    );
    for slot in 0..slots {
        _ = writeln!(text, "    float *state{slot} = (float *)AT({});", 3 + slot);
    }
    for k in 0..constants {
        let (word, shift) = (HEAD_WORDS + k / 2, 32 * (k % 2));
        _ = writeln!(text, "    const float k{k} = __uint_as_float((unsigned)(AT({word}) >> {shift}));");
    }
    _ = writeln!(text, "    for (unsigned i = begin + threadIdx.x; i < last; i += {THREADS}) {{");
    text.push_str(
        "        const float w = weights[i];\n\
         \x20       float g = gradient[i] * scale;\n\
         \x20       if (g > limit) g = limit;\n\
         \x20       if (g < 0.0f - limit) g = 0.0f - limit;\n",
    );
    for slot in 0..slots {
        _ = writeln!(text, "        const float s{slot} = fresh ? 0.0f : state{slot}[i];");
    }
    for (at, node) in formula.nodes.iter().enumerate() {
        let value = match *node {
            Node::Weight => "w".to_owned(),
            Node::Gradient => "g".to_owned(),
            Node::State(slot) => format!("s{slot}"),
            Node::Constant(k) => format!("k{k}"),
            Node::Add(a, b) => format!("n{a} + n{b}"),
            Node::Sub(a, b) => format!("n{a} - n{b}"),
            Node::Mul(a, b) => format!("n{a} * n{b}"),
            Node::Div(a, b) => format!("n{a} / n{b}"),
            Node::Sqrt(a) => format!("sqrtf(n{a})"),
            Node::Maximum(a, b) => format!("n{a} > n{b} ? n{a} : n{b}"),
            Node::Sign(a) => format!("(n{a} > 0.0f ? 1.0f : 0.0f) - (n{a} < 0.0f ? 1.0f : 0.0f)"),
        };
        _ = writeln!(text, "        const float n{at} = {value};");
    }
    for (slot, value) in formula.state.iter().enumerate() {
        _ = writeln!(text, "        state{slot}[i] = n{value};");
    }
    _ = writeln!(text, "        float updated = n{};", formula.weight);
    text.push_str(
        "        if (anchor) {\n\
         \x20           const float from = anchor[i], gap = updated - from;\n\
         \x20           const float moved = rate < 0.5f ? from + gap * rate : updated + gap * (rate - 1.0f);\n\
         \x20           anchor[i] = moved;\n\
         \x20           if (write_back) updated = moved;\n\
         \x20       }\n\
         \x20       weights[i] = updated;\n\
         \x20   }\n\
         }\n",
    );
    text
}
