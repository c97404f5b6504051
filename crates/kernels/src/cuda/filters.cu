// Filters turned: of many layers in one launch, a block a chunk of one of them. PyTorch's order is (O, I, taps) of `parameter`, cuDNN's
// beside channels-last images (O, taps, I) of `element`; what is read strided is what a block reads again and again, from its cache.

#define WORDS 4
struct Table {
    unsigned long long words[WORDS * ITEMS];
};

// Writes the chunk of the block. The table has, for each filter: from, to, rows and columns of the matrix that is turned, elements and
// first block.
template <typename From, typename To> __device__ void turn(const Table &table, int items) {
    int item = 0;
    while (item + 1 < items && (unsigned)(table.words[WORDS * (item + 1) + 3] >> 32) <= blockIdx.x) ++item;
    const unsigned long long *at = &table.words[WORDS * item];
    const From *from = (const From *)at[0];
    To *to = (To *)at[1];
    unsigned rows = (unsigned)at[2], columns = (unsigned)(at[2] >> 32), elements = (unsigned)at[3];
    unsigned begin = (blockIdx.x - (unsigned)(at[3] >> 32)) * CHUNK;
    unsigned end = elements - begin < CHUNK ? elements : begin + CHUNK;
    for (unsigned i = begin + threadIdx.x; i < end; i += THREADS) {
        unsigned row = i % rows, column = i / rows % columns, matrix = i / rows / columns;
        store(&to[i], load(from[((long long)matrix * rows + row) * columns + column]));
    }
}

extern "C" __global__ void to_cudnn(const __grid_constant__ Table table, int items) { turn<parameter, element>(table, items); }

extern "C" __global__ void from_cudnn(const __grid_constant__ Table table, int items) { turn<element, parameter>(table, items); }
