// Sums of products and windows: what reads many elements to make one.

#pragma once

#include <cstring>

#include "tile.h"

namespace EMULATOR_NAMESPACE {
namespace {

// Sums of products for N samples, held in vector registers where they fill some.
template <class S, size_t N, bool VECTORS> struct Sums {
    S v[N] = {};

    template <class T> EMULATOR_INLINE void add(const T *x, S weight) {
        for (size_t s = 0; s < N; s++) {
            v[s] = static_cast<S>(v[s] + static_cast<S>(x[s]) * weight);
        }
    }

    template <class A> EMULATOR_INLINE void add_to(Tile<A, N> &sum) const {
        for (size_t s = 0; s < N; s++) {
            sum.v[s] = static_cast<A>(sum.v[s] + v[s]);
        }
    }
};

template <class S, size_t N> struct Sums<S, N, true> {
    typedef S Vector __attribute__((vector_size(VECTOR_BYTES)));
    static constexpr size_t WIDTH = VECTOR_BYTES / sizeof(S), COUNT = N / WIDTH;

    Vector v[COUNT] = {};

    template <class T> EMULATOR_INLINE void add(const T *x, S weight) {
        typedef T Narrow __attribute__((vector_size(WIDTH * sizeof(T))));
#pragma GCC unroll 32
        for (size_t i = 0; i < COUNT; i++) {
            Narrow term;
            std::memcpy(&term, x + i * WIDTH, sizeof term);
            v[i] += __builtin_convertvector(term, Vector) * weight;
        }
    }

    template <class A> EMULATOR_INLINE void add_to(Tile<A, N> &sum) const {
        S each[N];
        std::memcpy(each, v, sizeof each);
        for (size_t s = 0; s < N; s++) {
            sum.v[s] = static_cast<A>(sum.v[s] + each[s]);
        }
    }
};

template <class S, size_t N>
using SumsOf = Sums<S, N, sizeof(S) <= 8 && N * sizeof(S) % VECTOR_BYTES == 0>;

// A matrix without its zeros. Row j is made of the parts `begin[j]` to `begin[j + 1]`, and
// part p of the terms `part[p]` to `part[p + 1]`; the sum of one part fits the narrow S.
template <class A, class S, class I> struct Rows {
    const uint32_t *begin, *part;
    const I *index;
    const S *weight;
    const A *bias;
};

// `find` gives the row of a term in x, or null if it is in the padding.
template <class A, size_t N, class S, class I, class F>
EMULATOR_INLINE Tile<A, N> weighted(const Rows<A, S, I> &rows, size_t output, F find) {
    Tile<A, N> sum = constant<N, A>(rows.bias[output]);
    for (uint32_t p = rows.begin[output]; p < rows.begin[output + 1]; p++) {
        SumsOf<S, N> part;
        for (uint32_t k = rows.part[p]; k < rows.part[p + 1]; k++) {
            if (const auto *x = find(k)) {
                part.add(x, rows.weight[k]);
            }
        }
        part.add_to(sum);
    }
    return sum;
}

template <class A, size_t N, class T, class S, class I>
EMULATOR_INLINE Tile<A, N> dense(const T *x, const Rows<A, S, I> &rows, size_t output) {
    return weighted<A, N>(rows, output, [&](uint32_t k) __attribute__((always_inline)) {
        return x + static_cast<size_t>(rows.index[k]) * N;
    });
}

// How a window slides over RANK axes; `step` is the distance of neighbouring places.
template <size_t RANK> struct Window {
    size_t size[RANK], places[RANK], kernel[RANK], stride[RANK], dilation[RANK], pad[RANK];
    size_t step;
};

// Where the elements of one window lie in the input; -1 in the padding.
template <size_t RANK, size_t TAPS> struct Places {
    int64_t at[TAPS];

    Places(const Window<RANK> &window, size_t place) {
        size_t corner[RANK];
        for (size_t i = RANK; i-- > 0;) {
            corner[i] = place % window.places[i] * window.stride[i];
            place /= window.places[i];
        }
        for (size_t tap = 0; tap < TAPS; tap++) {
            size_t rest = tap, distance = 1;
            int64_t sum = 0;
            bool inside = true;
            for (size_t i = RANK; i-- > 0;) {
                const size_t shifted = corner[i] + rest % window.kernel[i] * window.dilation[i];
                rest /= window.kernel[i];
                inside = inside && shifted >= window.pad[i] &&
                         shifted - window.pad[i] < window.size[i];
                sum += static_cast<int64_t>((shifted - window.pad[i]) * distance);
                distance *= window.size[i];
            }
            at[tap] = inside ? sum * static_cast<int64_t>(window.step) : -1;
        }
    }
};

// The index of a term is that of its channel; `tap` says which element of the window.
template <class A, size_t N, class T, class S, class I, class P>
EMULATOR_INLINE Tile<A, N> conv(const T *x, const Rows<A, S, I> &rows, const uint16_t *tap,
                                const P &places, size_t output) {
    return weighted<A, N>(rows, output, [&](uint32_t k) __attribute__((always_inline)) {
        const int64_t place = places.at[tap[k]];
        return place < 0 ? nullptr : x + (static_cast<size_t>(place) + rows.index[k]) * N;
    });
}

template <class A, size_t N, class T, size_t RANK, size_t TAPS>
EMULATOR_INLINE Tile<A, N> sum_pool(const T *x, const Places<RANK, TAPS> &places, size_t channel) {
    Tile<A, N> sum = constant<N, A>(0);
    for (const int64_t place : places.at) {
        for (size_t s = 0; place >= 0 && s < N; s++) {
            sum.v[s] = static_cast<A>(sum.v[s] + x[(channel + static_cast<size_t>(place)) * N + s]);
        }
    }
    return sum;
}

template <class A, size_t N, class T, size_t RANK, size_t TAPS>
EMULATOR_INLINE Tile<A, N> max_pool(const T *x, const Places<RANK, TAPS> &places, size_t channel,
                                    A least) {
    Tile<A, N> largest = constant<N, A>(least);
    for (const int64_t place : places.at) {
        for (size_t s = 0; place >= 0 && s < N; s++) {
            const A n = x[(channel + static_cast<size_t>(place)) * N + s];
            largest.v[s] = n > largest.v[s] ? n : largest.v[s];
        }
    }
    return largest;
}

// The index of the largest of `count` elements, `step` apart; of equals the first or last.
template <class A, bool LAST, size_t N, class T>
EMULATOR_INLINE Tile<A, N> arg_max(const T *x, size_t first, size_t count, size_t step) {
    Tile<A, N> found = constant<N, A>(0);
    Tile<T, N> largest = load<T, N>(x, first);
    for (size_t i = 1; i < count; i++) {
        for (size_t s = 0; s < N; s++) {
            const T n = x[(first + i * step) * N + s];
            const bool better = LAST ? n >= largest.v[s] : n > largest.v[s];
            largest.v[s] = better ? n : largest.v[s];
            found.v[s] = better ? static_cast<A>(i) : found.v[s];
        }
    }
    return found;
}

} // namespace
} // namespace EMULATOR_NAMESPACE
