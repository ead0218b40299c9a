// One pass of the network over N samples at most.

#pragma once

#include <cstring>

#include "compute.h"
#include "tile.h"

namespace EMULATOR_NAMESPACE {
namespace {

constexpr uint64_t EXPONENT = UINT64_C(0x7ff) << 52; // all ones: NaN or infinity

template <size_t N> struct Run {
    const Real *real;
    int64_t *const *sinks;
    char *memory;
    size_t first, count; // samples
    bool faulty;

    // Tensors between the steps: `place` bytes a sample from the start.
    template <class T> T *at(size_t place) const {
        return reinterpret_cast<T *>(memory + place * N);
    }

    // One element of a real input. What is not finite counts as zero, and is told.
    Tile<double, N> read(size_t input, size_t size, size_t e) {
        Tile<double, N> x = constant<N, double>(0);
        const size_t start = first * size + e;
        if (const float *floats = real[input].floats) {
            gather(x, floats + start, size);
        } else {
            gather(x, real[input].doubles + start, size);
        }
        uint64_t bits[N], bad = 0;
        std::memcpy(bits, x.v, sizeof bits);
        for (size_t s = 0; s < N; s++) {
            const uint64_t special = (bits[s] & EXPONENT) == EXPONENT ? ~uint64_t(0) : 0;
            bits[s] &= ~special;
            bad |= special;
        }
        std::memcpy(x.v, bits, sizeof bits);
        faulty |= bad != 0;
        return x;
    }

    template <class T>
    EMULATOR_INLINE void gather(Tile<double, N> &x, const T *from, size_t step) const {
        if (count == N) {
#pragma GCC unroll 4
            for (size_t s = 0; s < N; s++) {
                x.v[s] = static_cast<double>(from[s * step]);
            }
        } else {
            for (size_t s = 0; s < count; s++) {
                x.v[s] = static_cast<double>(from[s * step]);
            }
        }
    }

    // Hands the integers of a named tensor out, if anybody wants them.
    template <size_t WORDS, class T>
    EMULATOR_INLINE void keep(size_t tensor, size_t size, size_t e, const Tile<T, N> &x) const {
        if (int64_t *out = sinks[tensor]) {
            out += (first * size + e) * WORDS;
            for (size_t s = 0; s < count; s++, out += size * WORDS) {
                out[0] = static_cast<int64_t>(x.v[s]);
                if constexpr (WORDS == 2) {
                    out[1] = static_cast<int64_t>(static_cast<int128>(x.v[s]) >> 64);
                }
            }
        }
    }
};

} // namespace
} // namespace EMULATOR_NAMESPACE
