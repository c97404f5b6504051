// What every kernel of this crate starts with. The host puts ELEMENT and PARAMETER in front: 0 for float, 1 for double, 2 for
// bfloat16. `element` is what activations are stored in, `parameter` what weights are, `wide` what is computed in.
// No header is included, so that the run-time compiler needs no folder of headers on the machine.

// bfloat16: the upper half of a float, rounded to the nearest, ties to even.
struct brain {
    unsigned short bits;
};

__device__ __forceinline__ float load(float x) { return x; }
__device__ __forceinline__ double load(double x) { return x; }
__device__ __forceinline__ float load(brain x) { return __uint_as_float((unsigned)x.bits << 16); }

__device__ __forceinline__ void store(float *to, float x) { *to = x; }
__device__ __forceinline__ void store(float *to, double x) { *to = (float)x; }
__device__ __forceinline__ void store(double *to, double x) { *to = x; }
__device__ __forceinline__ void store(brain *to, float x) {
    unsigned bits = __float_as_uint(x);
    bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
    to->bits = (unsigned short)(nan ? (bits >> 16) | 0x40u : (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}
__device__ __forceinline__ void store(brain *to, double x) { store(to, (float)x); }

#if ELEMENT == 0
typedef float element;
typedef float wide;
#elif ELEMENT == 1
typedef double element;
typedef double wide;
#else
typedef brain element;
typedef float wide;
#endif

#if PARAMETER == 0
typedef float parameter;
#elif PARAMETER == 1
typedef double parameter;
#else
typedef brain parameter;
#endif

// Threads of every block; reductions in shared memory are written for this number.
#define THREADS 256

// So many neighbouring elements that one instruction moves.
template <int N> struct alignas(sizeof(element) * N) Pack {
    element v[N];
};

// The sum of all threads' values, for every thread.
template <typename T> __device__ T block_sum(T *shared, T value) {
    shared[threadIdx.x] = value;
    __syncthreads();
    for (unsigned half = THREADS / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) shared[threadIdx.x] += shared[threadIdx.x + half];
        __syncthreads();
    }
    T sum = shared[0];
    __syncthreads();
    return sum;
}

// Kernels whose blocks meet are launched so that all of them run at once, and this many fit on a processor.
#define RESIDENT __launch_bounds__(THREADS, 4)

// A gate is where blocks of one launch meet: two numbers, zero before the first use, of how many have come and how often it was opened.

// Comes to a gate that `blocks` blocks come to. True for the one that comes last, which sees all that the others wrote and opens the
// gate when it has done its work; the others may wait for that.
__device__ __forceinline__ bool arrive(unsigned *gate, unsigned blocks, unsigned &opened) {
    __shared__ unsigned came, before;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
        before = ((volatile unsigned *)gate)[1];
        // Once this block has come, the last one may open the gate: how often it was opened must be read before.
        __threadfence();
        came = atomicAdd(&gate[0], 1u) + 1;
        __threadfence();
    }
    __syncthreads();
    opened = before;
    bool last = came == blocks;
    __syncthreads();
    return last;
}

__device__ __forceinline__ void open(unsigned *gate) {
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
        gate[0] = 0;
        __threadfence();
        atomicAdd(&gate[1], 1u);
    }
}

// Waits until the gate was opened once more. What another block wrote before is then read with __ldcg, past this processor's cache.
__device__ __forceinline__ void wait(unsigned *gate, unsigned opened) {
    if (threadIdx.x == 0) {
        while (((volatile unsigned *)gate)[1] == opened) __nanosleep(32);
        __threadfence();
    }
    __syncthreads();
}
