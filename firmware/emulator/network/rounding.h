// Rounding, and fitting into a grid.

#pragma once

#include "tile.h"

namespace EMULATOR_NAMESPACE {
namespace {

enum class Rounding {
    half_even,
    half_up,
    half_down,
    half_away,
    half_zero,
    floor,
    ceil,
    toward_zero,
    away
};

enum class Fit { none, saturate, wrap };

// Integers from low to high. The zero point is added before rounding, and taken away.
template <class A> struct Grid {
    A low, high, zero;
};

template <Fit F, class A> EMULATOR_INLINE A fit(A n, const Grid<A> &grid) {
    if constexpr (F == Fit::saturate) {
        return n < grid.low ? grid.low : (n > grid.high ? grid.high : n);
    } else if constexpr (F == Fit::wrap) {
        return static_cast<A>(((n - grid.low) & (grid.high - grid.low)) + grid.low);
    } else {
        return n;
    }
}

// Divides by 2**shift and rounds once: what is added before the bits are dropped says how.
template <Rounding R, class A> EMULATOR_INLINE A round_shift(A n, int shift) {
    if (shift == 0) {
        return n;
    }
    const auto half = A(1) << (shift - 1), most = (half - 1) + half; // int or wider
    auto added = half - half;
    if constexpr (R == Rounding::half_even) {
        added = half - 1 + ((n >> shift) & 1);
    } else if constexpr (R == Rounding::half_up) {
        added = half;
    } else if constexpr (R == Rounding::half_down) {
        added = half - 1;
    } else if constexpr (R == Rounding::half_away) {
        added = half - (n < 0);
    } else if constexpr (R == Rounding::half_zero) {
        added = half - 1 + (n < 0);
    } else if constexpr (R == Rounding::ceil) {
        added = most;
    } else if constexpr (R == Rounding::toward_zero) {
        added = n < 0 ? most : 0;
    } else if constexpr (R == Rounding::away) {
        added = n < 0 ? 0 : most;
    }
    return static_cast<A>((n + added) >> shift);
}

// What rounding adds to the floor. `order` is the sign of twice the remainder less the
// divisor, `rest` whether there is a remainder.
EMULATOR_INLINE bool rounds_up(Rounding rounding, bool negative, bool odd, bool rest, int order) {
    switch (rounding) {
    case Rounding::floor:
        break;
    case Rounding::ceil:
        return rest;
    case Rounding::toward_zero:
        return rest && negative;
    case Rounding::away:
        return rest && !negative;
    case Rounding::half_up:
        return order >= 0;
    case Rounding::half_down:
        return order > 0;
    case Rounding::half_away:
        return order > 0 || (order == 0 && !negative);
    case Rounding::half_zero:
        return order > 0 || (order == 0 && negative);
    case Rounding::half_even:
        return order > 0 || (order == 0 && odd);
    }
    return false;
}

template <Rounding R, class A> EMULATOR_INLINE A round_divide(A n, A divisor) {
    A quotient = n / divisor, rest = n % divisor;
    if (rest < 0) {
        quotient -= 1;
        rest += divisor;
    }
    const A twice = rest - (divisor - rest);
    const int order = (twice > 0) - (twice < 0);
    return quotient + rounds_up(R, n < 0, (quotient & 1) != 0, rest != 0, order);
}

// Requantize by a factor over a power of two. Beyond the limits nothing changes.
template <Rounding R, Fit F, class A, class T, size_t N>
EMULATOR_INLINE Tile<A, N> shifted(const Tile<T, N> &x, As<T> least, As<T> most, A factor, int shift,
                                   Grid<A> grid) {
    const A zero = static_cast<A>(grid.zero * (A(1) << shift));
    return each<A>(clip<T>(x, least, most), [=](A n) {
        return fit<F>(A(round_shift<R>(A(n * factor + zero), shift) - grid.zero), grid);
    });
}

// Requantize by a multiplication and a shift, which the generator proved right at every
// step of the staircase between the limits.
template <Fit F, class A, class T, size_t N>
EMULATOR_INLINE Tile<A, N> scaled(const Tile<T, N> &x, As<T> least, As<T> most, A multiplier,
                                  A offset, int shift, Grid<A> grid) {
    return each<A>(clip<T>(x, least, most), [=](A n) {
        return fit<F>(A((n * multiplier + offset) >> shift), grid);
    });
}

// Requantize by a division.
template <Rounding R, Fit F, class A, class T, size_t N>
EMULATOR_INLINE Tile<A, N> divided(const Tile<T, N> &x, As<T> least, As<T> most, A factor, A divisor,
                                   Grid<A> grid) {
    const A zero = grid.zero * divisor;
    return each<A>(clip<T>(x, least, most), [=](A n) {
        return fit<F>(A(round_divide<R>(A(n * factor + zero), divisor) - grid.zero), grid);
    });
}

// Requantize by searching a sorted table for the number of steps an integer reaches.
template <class A, class T, size_t N>
EMULATOR_INLINE Tile<A, N> stepped(const Tile<T, N> &x, const As<T> *steps, size_t count,
                                   A low) {
    Tile<A, N> y;
    for (size_t s = 0; s < N; s++) {
        size_t first = 0, last = count;
        while (first < last) {
            const size_t middle = (first + last) / 2;
            if (x.v[s] >= steps[middle]) {
                first = middle + 1;
            } else {
                last = middle;
            }
        }
        y.v[s] = low + static_cast<A>(first);
    }
    return y;
}

} // namespace
} // namespace EMULATOR_NAMESPACE
