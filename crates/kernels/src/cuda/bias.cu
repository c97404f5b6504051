// A bias over a matrix of pixels, by the means of columns.cu: one number a channel.

// Adds `bias` to every row of `x`, where it stands.
extern "C" __global__ void add_bias(element *x, int rows, int channels, int tile, int parts, int rows_per_part, const parameter *bias) {
    for (int first = blockIdx.x * tile; first < channels; first += gridDim.x * tile) {
        Place at = place(first, tile, channels);
        if (!at.is_there) continue;
        wide shift[PACK];
        for (int k = 0; k < PACK; ++k) shift[k] = load(bias[at.c + k]);
        for (int part = blockIdx.y; part < parts; part += gridDim.y) {
            walk(at, part, rows_per_part, rows, channels, [&](long long i) {
                Pack<PACK> values = *(const Pack<PACK> *)(x + i);
#pragma unroll
                for (int k = 0; k < PACK; ++k) store(&values.v[k], load(values.v[k]) + shift[k]);
                *(Pack<PACK> *)(x + i) = values;
            });
        }
    }
}

// The gradient of the bias: the sums of `dy` over all rows.
extern "C" __global__ void RESIDENT bias_gradient(const element *dy, double *partials, unsigned *gates, int rows, int channels, int tile,
                                                  int parts, int rows_per_part, parameter *d_bias) {
    unsigned *gate = gates + 2 * blockIdx.x;
    for (int first = blockIdx.x * tile; first < channels; first += gridDim.x * tile) {
        Place at = place(first, tile, channels);
        for (int part = blockIdx.y; part < parts; part += gridDim.y) {
            wide sums[PACK] = {}, nothing[PACK] = {};
            if (at.is_there) {
                walk(at, part, rows_per_part, rows, channels, [&](long long i) {
                    Pack<PACK> values = *(const Pack<PACK> *)(dy + i);
#pragma unroll
                    for (int k = 0; k < PACK; ++k) sums[k] += load(values.v[k]);
                });
            }
            leave(at, partials, part, channels, sums, nothing);
        }
        unsigned opened;
        if (arrive(gate, gridDim.y, opened)) {
            int c = first + threadIdx.x % tile;
            double sum, nothing;
            gather(partials, parts, channels, tile, c, sum, nothing);
            if (threadIdx.x < tile && c < channels) store(&d_bias[c], sum);
            open(gate);
        } else {
            // The gate is the next tile's too.
            wait(gate, opened);
        }
    }
}
