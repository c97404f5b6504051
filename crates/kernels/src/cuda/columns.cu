// A matrix of `rows` pixels and `channels`. A block looks at `tile` neighbouring channels, a power of two: a thread takes PACK of them,
// of every (THREADS / lanes)-th row, where lanes * PACK is the tile. Rows are cut into parts, of which a block takes some; what the
// parts leave is added in their order, whichever block they fell to.

// Where a thread stands.
struct Place {
    int lanes, line, c;
    bool is_there;
};

__device__ __forceinline__ Place place(int first, int tile, int channels) {
    Place at;
    at.lanes = tile / PACK;
    at.line = threadIdx.x / at.lanes;
    at.c = first + (threadIdx.x % at.lanes) * PACK;
    at.is_there = at.c < channels;
    return at;
}

// Calls `each` with the index of a thread's pack in every row of its block's parts.
template <typename F> __device__ __forceinline__ void walk(const Place &at, int part, int rows_per_part, int rows, int channels, F each) {
    unsigned first = (unsigned)part * rows_per_part, last = min(rows - first, (unsigned)rows_per_part) + first;
#pragma unroll 4
    for (unsigned row = first + at.line; row < last; row += THREADS / at.lanes) each((long long)row * channels + at.c);
}

// The sums of two numbers a channel over all threads of a lane, valid in line 0.
__device__ void lane_sums(int lanes, wide (&a)[PACK], wide (&b)[PACK]) {
    __shared__ wide shared_a[PACK][THREADS], shared_b[PACK][THREADS];
    for (int k = 0; k < PACK; ++k) {
        shared_a[k][threadIdx.x] = a[k];
        shared_b[k][threadIdx.x] = b[k];
    }
    __syncthreads();
    for (unsigned half = THREADS / 2; half >= (unsigned)lanes; half /= 2) {
        if (threadIdx.x < half) {
            for (int k = 0; k < PACK; ++k) {
                shared_a[k][threadIdx.x] += shared_a[k][threadIdx.x + half];
                shared_b[k][threadIdx.x] += shared_b[k][threadIdx.x + half];
            }
        }
        __syncthreads();
    }
    for (int k = 0; k < PACK; ++k) {
        a[k] = shared_a[k][threadIdx.x];
        b[k] = shared_b[k][threadIdx.x];
    }
    __syncthreads();
}

// Leaves a part's two sums.
__device__ void leave(const Place &at, double *partials, int part, int channels, wide (&a)[PACK], wide (&b)[PACK]) {
    lane_sums(at.lanes, a, b);
    if (at.line == 0 && at.is_there) {
        for (int k = 0; k < PACK; ++k) {
            partials[2 * (long long)part * channels + at.c + k] = a[k];
            partials[(2 * (long long)part + 1) * channels + at.c + k] = b[k];
        }
    }
}

// Adds up what all parts left for channel `c`, that of the thread's column; valid in the first `tile` threads.
__device__ void gather(const double *partials, int parts, int channels, int tile, int c, double &a, double &b) {
    __shared__ double shared_a[THREADS], shared_b[THREADS];
    a = 0;
    b = 0;
    if (c < channels) {
        for (int part = threadIdx.x / tile; part < parts; part += THREADS / tile) {
            a += __ldcg(&partials[2 * (long long)part * channels + c]);
            b += __ldcg(&partials[(2 * (long long)part + 1) * channels + c]);
        }
    }
    shared_a[threadIdx.x] = a;
    shared_b[threadIdx.x] = b;
    __syncthreads();
    for (unsigned half = THREADS / 2; half >= (unsigned)tile; half /= 2) {
        if (threadIdx.x < half) {
            shared_a[threadIdx.x] += shared_a[threadIdx.x + half];
            shared_b[threadIdx.x] += shared_b[threadIdx.x + half];
        }
        __syncthreads();
    }
    a = shared_a[threadIdx.x];
    b = shared_b[threadIdx.x];
    __syncthreads();
}
