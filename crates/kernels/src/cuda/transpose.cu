// (batch, rows, columns) to (batch, columns, rows), of elements of any type that is BITS wide: through shared memory, so that
// reads and writes are both of neighbours. NCHW to NHWC and back, and filters (O, I, taps) to (O, taps, I) and back.

#if BITS == 8
typedef unsigned char word;
#elif BITS == 16
typedef unsigned short word;
#elif BITS == 32
typedef unsigned int word;
#else
typedef unsigned long long word;
#endif

#define SIDE 32

extern "C" __global__ void transpose(const word *from, word *to, int batch, int rows, int columns) {
    __shared__ word tile[SIDE][SIDE + 1];
    int lane = threadIdx.x % SIDE, line = threadIdx.x / SIDE;
    for (long long b = blockIdx.z; b < batch; b += gridDim.z) {
        const word *in = from + b * rows * columns;
        word *out = to + b * rows * columns;
        long long column0 = (long long)blockIdx.x * SIDE;
        for (long long row0 = (long long)blockIdx.y * SIDE; row0 < rows; row0 += (long long)gridDim.y * SIDE) {
            for (int r = line; r < SIDE; r += THREADS / SIDE) {
                long long row = row0 + r, column = column0 + lane;
                if (row < rows && column < columns) tile[r][lane] = in[row * columns + column];
            }
            __syncthreads();
            for (int r = line; r < SIDE; r += THREADS / SIDE) {
                long long column = column0 + r, row = row0 + lane;
                if (row < rows && column < columns) out[column * rows + row] = tile[lane][r];
            }
            __syncthreads();
        }
    }
}
