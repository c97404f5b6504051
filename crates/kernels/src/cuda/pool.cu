// Pooling of (N, H, W, C). Forward, a thread owns one output element; backward, one input element, which gathers from the windows
// that cover it, so that nothing is added atomically and the bits are the same from run to run.

// What the window at output index `out` covers along one axis: [first, last).
__device__ __forceinline__ void covered(int out, int kernel, int stride, int padding, int extent, int &first, int &last) {
    first = max(out * stride - padding, 0);
    last = min(out * stride - padding + kernel, extent);
}

// The outputs whose windows cover input index `in`: [first, last).
__device__ __forceinline__ void covering(int in, int kernel, int stride, int padding, int outputs, int &first, int &last) {
    int reach = in + padding - kernel + 1;
    first = reach <= 0 ? 0 : (reach + stride - 1) / stride;
    last = min((in + padding) / stride + 1, outputs);
}

// The largest element, the first of equals, NaN above all; `winners` holds its pixel within the image.
extern "C" __global__ void max_pool(const element *x, element *y, unsigned *winners, unsigned outputs, int height, int width,
                                    int channels, int rows, int columns, int kernel, int stride, int padding) {
    unsigned i = blockIdx.x * THREADS + threadIdx.x;
    if (i >= outputs) return;
    int c = i % channels, ox = i / channels % columns, oy = i / channels / columns % rows;
    long long image = (long long)(i / channels / columns / rows) * height * width * channels;
    int top, bottom, left, right;
    covered(oy, kernel, stride, padding, height, top, bottom);
    covered(ox, kernel, stride, padding, width, left, right);
    element best = x[image + ((long long)top * width + left) * channels + c];
    unsigned winner = top * width + left;
    for (int iy = top; iy < bottom; ++iy) {
        for (int ix = left; ix < right; ++ix) {
            element candidate = x[image + ((long long)iy * width + ix) * channels + c];
            wide value = load(candidate);
            if (value > load(best) || value != value) {
                best = candidate;
                winner = iy * width + ix;
            }
        }
    }
    y[i] = best;
    winners[i] = winner;
}

extern "C" __global__ void max_pool_backward(const element *dy, const unsigned *winners, element *dx, unsigned inputs, int height,
                                             int width, int channels, int rows, int columns, int kernel, int stride, int padding) {
    unsigned i = blockIdx.x * THREADS + threadIdx.x;
    if (i >= inputs) return;
    int c = i % channels, ix = i / channels % width, iy = i / channels / width % height;
    unsigned pixel = iy * width + ix;
    long long image = (long long)(i / channels / width / height) * rows * columns * channels;
    int top, bottom, left, right;
    covering(iy, kernel, stride, padding, rows, top, bottom);
    covering(ix, kernel, stride, padding, columns, left, right);
    wide sum = 0;
    for (int oy = top; oy < bottom; ++oy) {
        for (int ox = left; ox < right; ++ox) {
            long long at = image + ((long long)oy * columns + ox) * channels + c;
            if (winners[at] == pixel) sum += load(dy[at]);
        }
    }
    store(&dx[i], sum);
}

// The mean of a window; pixels of the padding count as zeros.
extern "C" __global__ void avg_pool(const element *x, element *y, unsigned outputs, int height, int width, int channels, int rows,
                                    int columns, int kernel_height, int kernel_width, int stride, int padding) {
    unsigned i = blockIdx.x * THREADS + threadIdx.x;
    if (i >= outputs) return;
    int c = i % channels, ox = i / channels % columns, oy = i / channels / columns % rows;
    long long image = (long long)(i / channels / columns / rows) * height * width * channels;
    int top, bottom, left, right;
    covered(oy, kernel_height, stride, padding, height, top, bottom);
    covered(ox, kernel_width, stride, padding, width, left, right);
    wide sum = 0;
    for (int iy = top; iy < bottom; ++iy) {
        for (int ix = left; ix < right; ++ix) sum += load(x[image + ((long long)iy * width + ix) * channels + c]);
    }
    store(&y[i], sum / (wide)(kernel_height * kernel_width));
}

extern "C" __global__ void avg_pool_backward(const element *dy, element *dx, unsigned inputs, int height, int width, int channels,
                                             int rows, int columns, int kernel_height, int kernel_width, int stride, int padding) {
    unsigned i = blockIdx.x * THREADS + threadIdx.x;
    if (i >= inputs) return;
    int c = i % channels, ix = i / channels % width, iy = i / channels / width % height;
    long long image = (long long)(i / channels / width / height) * rows * columns * channels;
    int top, bottom, left, right;
    covering(iy, kernel_height, stride, padding, rows, top, bottom);
    covering(ix, kernel_width, stride, padding, columns, left, right);
    wide sum = 0;
    for (int oy = top; oy < bottom; ++oy) {
        for (int ox = left; ox < right; ++ox) sum += load(dy[image + ((long long)oy * columns + ox) * channels + c]);
    }
    store(&dx[i], sum / (wide)(kernel_height * kernel_width));
}
