// Enough of CUDA to run this crate's kernels on a CPU: a block's threads are fibers that change at __syncthreads().
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>
#include <vector>
#include <ucontext.h>

#define __global__
#define __device__
#define __forceinline__ inline
#define __shared__ static

struct Index {
    unsigned x, y, z;
};
static Index threadIdx, blockIdx, gridDim;

using std::erfc;
using std::exp;
using std::log;
using std::max;
using std::min;
using std::sqrt;
using std::tanh;

static inline unsigned __float_as_uint(float x) {
    unsigned bits;
    std::memcpy(&bits, &x, 4);
    return bits;
}
static inline float __uint_as_float(unsigned bits) {
    float x;
    std::memcpy(&x, &bits, 4);
    return x;
}
static inline double __longlong_as_double(long long bits) {
    double x;
    std::memcpy(&x, &bits, 8);
    return x;
}

namespace emulator {
const size_t threads = 256, stack = 64 * 1024;
struct Fiber {
    ucontext_t context;
    std::vector<char> memory = std::vector<char>(stack);
    bool done;
};
static ucontext_t scheduler;
static std::vector<Fiber> fibers;
static size_t current;
static void (*body)(void **);
static void **arguments;

static void enter() {
    body(arguments);
    fibers[current].done = true;
    swapcontext(&fibers[current].context, &scheduler);
}

// One block; false if some threads waited for others that had returned.
static bool block() {
    for (Fiber &fiber : fibers) {
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.memory.data();
        fiber.context.uc_stack.ss_size = stack;
        fiber.context.uc_link = nullptr;
        fiber.done = false;
        makecontext(&fiber.context, enter, 0);
    }
    for (;;) {
        size_t done = 0;
        for (current = 0; current < threads; ++current) {
            threadIdx = {(unsigned)current, 0, 0};
            swapcontext(&scheduler, &fibers[current].context);
            done += fibers[current].done;
        }
        if (done == threads) return true;
        if (done != 0) return false;
    }
}

static int grid(unsigned x, unsigned y, unsigned z, void (*kernel)(void **), void **values) {
    fibers.resize(threads);
    body = kernel;
    arguments = values;
    gridDim = {x, y, z};
    for (unsigned k = 0; k < z; ++k)
        for (unsigned j = 0; j < y; ++j)
            for (unsigned i = 0; i < x; ++i) {
                blockIdx = {i, j, k};
                if (!block()) return 1;
            }
    return 0;
}

// Calls a kernel with each argument read through the pointer that the driver's launch would get.
template <auto kernel, typename... A, size_t... I>
void unpack(void (*)(A...), void **values, std::index_sequence<I...>) {
    kernel(*(A *)values[I]...);
}
template <typename... A> std::index_sequence_for<A...> indices(void (*)(A...)) { return {}; }

// A letter for each parameter's type, to be compared with what the launch passes.
template <typename A> char kind() {
    return std::is_pointer<A>::value ? 'p' : std::is_same<A, int>::value ? 'i' : std::is_same<A, unsigned>::value ? 'u'
           : std::is_same<A, double>::value ? 'd' : '?';
}
template <typename... A> bool accepts(void (*)(A...), const char *kinds) {
    const char expected[] = {kind<A>()..., 0};
    return std::strcmp(expected, kinds) == 0;
}
template <auto kernel> void call(void **values) { unpack<kernel>(kernel, values, indices(kernel)); }
} // namespace emulator

static inline void __syncthreads() {
    size_t self = emulator::current;
    swapcontext(&emulator::fibers[self].context, &emulator::scheduler);
}
