// Tiles: one element of a tensor, for N samples at once.
//
// Every operation is a loop over the samples, which compilers turn into vector
// instructions. The type that each operation computes in is proven wide enough by the
// generator: no sum, product or shift here can overflow.

#pragma once

#include <cstddef>
#include <cstdint>

#include "config.h"

#ifdef __FAST_MATH__
#error "the emulator is exact: compile it without -ffast-math"
#endif

#define EMULATOR_INLINE inline __attribute__((always_inline))

namespace EMULATOR_NAMESPACE {
namespace {

__extension__ typedef __int128 int128;
__extension__ typedef unsigned __int128 uint128;

constexpr int128 wide(int64_t high, uint64_t low) {
    return static_cast<int128>((static_cast<uint128>(static_cast<uint64_t>(high)) << 64) |
                               low);
}

#if defined(__AVX512BW__)
constexpr size_t VECTOR_BYTES = 64;
#elif defined(__AVX2__)
constexpr size_t VECTOR_BYTES = 32;
#else
constexpr size_t VECTOR_BYTES = 16;
#endif

// A parameter of this type is converted, not deduced.
template <class T> struct Given {
    typedef T type;
};
template <class T> using As = typename Given<T>::type;

template <class T, size_t N> struct Tile {
    T v[N];
};

template <class A, size_t N, class T> EMULATOR_INLINE Tile<A, N> load(const T *x, size_t e) {
    Tile<A, N> y;
    for (size_t s = 0; s < N; s++) {
        y.v[s] = static_cast<A>(x[e * N + s]);
    }
    return y;
}

template <class T, size_t N, class A>
EMULATOR_INLINE void store(T *y, size_t e, const Tile<A, N> &x) {
    for (size_t s = 0; s < N; s++) {
        y[e * N + s] = static_cast<T>(x.v[s]);
    }
}

template <size_t N, class A> EMULATOR_INLINE Tile<A, N> constant(A value) {
    Tile<A, N> y;
    for (size_t s = 0; s < N; s++) {
        y.v[s] = value;
    }
    return y;
}

template <class A, class T, size_t N> EMULATOR_INLINE Tile<A, N> cast(const Tile<T, N> &x) {
    Tile<A, N> y;
    for (size_t s = 0; s < N; s++) {
        y.v[s] = static_cast<A>(x.v[s]);
    }
    return y;
}

// Applies a function of one integer, in the type A.
template <class A, class T, size_t N, class F>
EMULATOR_INLINE Tile<A, N> each(const Tile<T, N> &x, F function) {
    Tile<A, N> y;
    for (size_t s = 0; s < N; s++) {
        y.v[s] = static_cast<A>(function(static_cast<A>(x.v[s])));
    }
    return y;
}

template <class A, class T, size_t N>
EMULATOR_INLINE Tile<A, N> affine(const Tile<T, N> &x, A multiplier, A constant) {
    return each<A>(x, [=](A n) { return n * multiplier + constant; });
}

template <class A, class T, size_t N> EMULATOR_INLINE Tile<A, N> relu(const Tile<T, N> &x) {
    return each<A>(x, [](A n) { return n > 0 ? n : A(0); });
}

template <class A, class T, size_t N>
EMULATOR_INLINE Tile<A, N> leaky(const Tile<T, N> &x, A numerator, A denominator) {
    return each<A>(x, [=](A n) { return n * (n < 0 ? numerator : denominator); });
}

template <class A, class T, size_t N>
EMULATOR_INLINE Tile<A, N> clip(const Tile<T, N> &x, A low, A high) {
    return each<A>(x, [=](A n) { return n < low ? low : (n > high ? high : n); });
}

template <class A, class T, size_t N, class E>
EMULATOR_INLINE Tile<A, N> look_up(const Tile<T, N> &x, As<T> low, const E *entries) {
    Tile<A, N> y;
    for (size_t s = 0; s < N; s++) {
        y.v[s] = entries[static_cast<size_t>(x.v[s] - low)];
    }
    return y;
}

// How many thresholds an integer reaches.
template <class A, class T, size_t N>
EMULATOR_INLINE Tile<A, N> reached(const Tile<T, N> &x, const T *thresholds, size_t count) {
    Tile<A, N> y = constant<N, A>(0);
    for (size_t i = 0; i < count; i++) {
        for (size_t s = 0; s < N; s++) {
            y.v[s] = static_cast<A>(y.v[s] + (x.v[s] >= thresholds[i]));
        }
    }
    return y;
}

template <class A, size_t N, class T>
EMULATOR_INLINE void add_scaled(Tile<A, N> &y, const T *x, size_t e, A multiplier) {
    for (size_t s = 0; s < N; s++) {
        y.v[s] = static_cast<A>(y.v[s] + static_cast<A>(x[e * N + s]) * multiplier);
    }
}

template <class A, size_t N, class T>
EMULATOR_INLINE void multiply(Tile<A, N> &y, const T *x, size_t e) {
    for (size_t s = 0; s < N; s++) {
        y.v[s] = static_cast<A>(y.v[s] * static_cast<A>(x[e * N + s]));
    }
}

} // namespace
} // namespace EMULATOR_NAMESPACE
