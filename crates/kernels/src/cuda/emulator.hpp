// Enough of CUDA to run this crate's kernels on a CPU: a block's threads are fibers that change at __syncthreads().
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>
#include <ucontext.h>

#define __global__
#define __device__
#define __forceinline__ inline
#define __shared__ static
#define __launch_bounds__(...)
#define __grid_constant__

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

static inline void __threadfence() {}
template <typename T> static inline T __ldcg(const T *at) { return *at; }
static inline unsigned atomicAdd(unsigned *at, unsigned value) {
    unsigned before = *at;
    *at += value;
    return before;
}

namespace emulator {
const size_t threads = 256, stack = 64 * 1024;
// A thread runs until it reaches a barrier, waits for another block, or ends.
enum State { ready, parked, waiting, done };
struct Fiber {
    ucontext_t context;
    std::unique_ptr<char[]> memory{new char[stack]};
    State state;
};
static ucontext_t scheduler;
static std::vector<Fiber> fibers;
static size_t current;
static void (*body)(void **);
static void **arguments;

static void leave(State state) {
    size_t self = current;
    fibers[self].state = state;
    swapcontext(&fibers[self].context, &scheduler);
}
static void enter() {
    body(arguments);
    leave(done);
}

static void prepare(Fiber &fiber) {
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.memory.get();
    fiber.context.uc_stack.ss_size = stack;
    fiber.context.uc_link = nullptr;
    fiber.state = ready;
    makecontext(&fiber.context, enter, 0);
}

// Runs a block, whose first fiber is given, until it ends or waits; false if some threads ended at a barrier of others.
static bool settle(size_t first) {
    for (;;) {
        size_t counts[4] = {};
        for (size_t thread = 0; thread < threads; ++thread) {
            current = first + thread;
            threadIdx = {(unsigned)thread, 0, 0};
            if (fibers[current].state != parked) swapcontext(&scheduler, &fibers[current].context);
            ++counts[fibers[first + thread].state];
        }
        if (counts[waiting] != 0 || counts[done] == threads) return true;
        if (counts[done] != 0) return false;
        for (size_t thread = 0; thread < threads; ++thread) fibers[first + thread].state = ready;
    }
}

// 0, or what went wrong: 1 a barrier that not all threads reached, 3 blocks that wait for ever.
static int grid(unsigned x, unsigned y, unsigned z, bool together, void (*kernel)(void **), void **values) {
    size_t blocks = (size_t)x * y * z, at_once = together ? blocks : 1;
    if (fibers.size() < at_once * threads) fibers.resize(at_once * threads);
    body = kernel;
    arguments = values;
    gridDim = {x, y, z};
    for (size_t begin = 0; begin < blocks; begin += at_once) {
        for (size_t i = 0; i < at_once * threads; ++i) prepare(fibers[i]);
        size_t ended = 0;
        for (int round = 0; ended < at_once; ++round) {
            if (round == 10000) return 3;
            ended = 0;
            for (size_t block = 0; block < at_once; ++block) {
                size_t number = begin + block;
                blockIdx = {(unsigned)(number % x), (unsigned)(number / x % y), (unsigned)(number / x / y)};
                if (fibers[block * threads].state != done && !settle(block * threads)) return 1;
                ended += fibers[block * threads].state == done;
            }
        }
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
           : std::is_same<A, double>::value ? 'd' : std::is_class<A>::value ? 't' : '?';
}
template <typename... A> bool accepts(void (*)(A...), const char *kinds) {
    const char expected[] = {kind<A>()..., 0};
    return std::strcmp(expected, kinds) == 0;
}
template <auto kernel> void call(void **values) { unpack<kernel>(kernel, values, indices(kernel)); }
} // namespace emulator

static inline void __syncthreads() { emulator::leave(emulator::parked); }
static inline void __nanosleep(unsigned) { emulator::leave(emulator::waiting); }
