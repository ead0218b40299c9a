// From real numbers to integers: exact, and independent of the floating-point environment.

#pragma once

#include <cmath>
#include <cstring>

#include "natural.h"
#include "rounding.h"

namespace EMULATOR_NAMESPACE {
namespace {

// Rounds the quotient of a whole number and its fraction, given apart: `part` is exact and
// has the sign of the value.
template <Rounding R, class A> EMULATOR_INLINE A round_part(A whole, double part) {
    const double size = part < 0 ? -part : part;
    const A outward = part < 0 ? A(-1) : A(1);
    bool moves = false;
    if constexpr (R == Rounding::half_even) {
        moves = (size > 0.5) | ((size == 0.5) & ((whole & 1) != 0));
    } else if constexpr (R == Rounding::half_up) {
        moves = (size > 0.5) | (part == 0.5);
    } else if constexpr (R == Rounding::half_down) {
        moves = (size > 0.5) | (part == -0.5);
    } else if constexpr (R == Rounding::half_away) {
        moves = size >= 0.5;
    } else if constexpr (R == Rounding::half_zero) {
        moves = size > 0.5;
    } else if constexpr (R == Rounding::floor) {
        moves = part < 0;
    } else if constexpr (R == Rounding::ceil) {
        moves = part > 0;
    } else if constexpr (R == Rounding::away) {
        moves = size > 0;
    }
    return whole + (moves ? outward : A(0));
}

// A vector of values at a time. Comparisons give masks, and no branches.
typedef double Reals __attribute__((vector_size(VECTOR_BYTES)));
typedef int64_t Masks __attribute__((vector_size(VECTOR_BYTES)));
typedef int32_t Integers __attribute__((vector_size(VECTOR_BYTES / 2)));
constexpr size_t REALS = VECTOR_BYTES / sizeof(double);

EMULATOR_INLINE Integers narrow(Masks mask) { return __builtin_convertvector(mask, Integers); }

// The mask of the values that move outward from `whole`.
template <Rounding R> EMULATOR_INLINE Integers moving(Reals part, Integers whole) {
    const Masks above = part > 0.5, below = part < -0.5, high = part == 0.5, low = part == -0.5;
    if constexpr (R == Rounding::half_even) {
        return narrow(above | below) | (narrow(high | low) & -(whole & 1));
    } else if constexpr (R == Rounding::half_up) {
        return narrow(above | below | high);
    } else if constexpr (R == Rounding::half_down) {
        return narrow(above | below | low);
    } else if constexpr (R == Rounding::half_away) {
        return narrow(above | below | high | low);
    } else if constexpr (R == Rounding::half_zero) {
        return narrow(above | below);
    } else if constexpr (R == Rounding::floor) {
        return narrow(part < 0.0);
    } else if constexpr (R == Rounding::ceil) {
        return narrow(part > 0.0);
    } else if constexpr (R == Rounding::away) {
        return narrow(part != 0.0);
    } else {
        return Integers{};
    }
}

EMULATOR_INLINE Reals held(Reals x, Masks where, double limit) {
    return where ? Reals{} + limit : x;
}

// Brings sizes beyond 2**±900 to that size: they stand for all smaller or larger ones.
EMULATOR_INLINE Reals moderate(Reals x) {
    x = held(x, (x < 0x1p-900) & (x > 0.0), 0x1p-900);
    x = held(x, (x > -0x1p-900) & (x < 0.0), -0x1p-900);
    return held(held(x, x > 0x1p900, 0x1p900), x < -0x1p900, -0x1p900);
}

// Quantize on a grid whose scale is a power of two, one over `factor`: the product is
// exact. The ends, one step beyond the grid where that is a float64, are as good as
// anything further out.
template <Rounding R, Fit F, class A, size_t N>
EMULATOR_INLINE Tile<A, N> quantize(const Tile<double, N> &x, double factor, double least,
                                    double most, Grid<A> grid) {
    Tile<A, N> y;
    for (size_t s = 0; s < N; s += REALS) {
        constexpr size_t count = N < REALS ? N : REALS;
        Reals value = {};
        std::memcpy(&value, x.v + s, count * sizeof(double));
        value = moderate(value) * factor;
        if constexpr (F != Fit::wrap) {
            value = held(held(value, value < least, least), value > most, most);
        }
        if constexpr (sizeof(A) == 4) {
            const Integers whole = __builtin_convertvector(value, Integers);
            const Reals part = value - __builtin_convertvector(whole, Reals);
            const Integers outward = narrow(part < 0.0) | 1;
            const Integers n = whole + (moving<R>(part, whole) & outward);
            std::memcpy(y.v + s, &n, count * sizeof(A));
        } else {
            for (size_t i = 0; i < count; i++) { // float64 beyond are multiples of 2**64
                const double real = std::fabs(value[i]) < 0x1p118 ? value[i] : 0.0;
                const A whole = static_cast<A>(real);
                y.v[s + i] = round_part<R>(whole, real - static_cast<double>(whole));
            }
        }
    }
    return each<A>(y, [&](A n) { return fit<F>(n, grid); });
}

// x -> (x * p + r) / q, exactly, and nearly as x * slope + intercept. The words of the
// integers come lowest first; r has the zero point in it.
struct Line {
    double slope, intercept;
    const uint32_t *p, *r, *q;
    size_t p_words, r_words, q_words;
    bool p_negative, r_negative;
};

// Rounds the value of a line in whole numbers of any size.
[[maybe_unused, gnu::noinline]] int128 round_exactly(double x, const Line &line, Rounding rounding,
                                                     Fit fitting, Grid<int128> grid) {
    int exponent = 0;
    const double mantissa = std::ldexp(std::frexp(std::fabs(x), &exponent), 53);
    exponent -= 53;
    Natural product = Natural(line.p, line.p_words).times(static_cast<uint64_t>(mantissa));
    Natural rest(line.r, line.r_words), divisor(line.q, line.q_words);
    if (exponent > 0) {
        product = product.shifted(static_cast<size_t>(exponent));
    } else {
        rest = rest.shifted(static_cast<size_t>(-exponent));
        divisor = divisor.shifted(static_cast<size_t>(-exponent));
    }
    const bool minus = (x < 0) != line.p_negative;
    bool negative = minus;
    Natural numerator;
    if (minus == line.r_negative) {
        numerator = product.plus(rest);
    } else if (product.compare(rest) >= 0) {
        numerator = product.minus(rest);
    } else {
        numerator = rest.minus(product);
        negative = !minus;
    }
    negative = negative && !numerator.zero();
    // Long division, bit by bit; the quotient is right modulo 2**128.
    uint128 quotient = 0;
    const size_t top = numerator.bits(), bottom = divisor.bits();
    const size_t steps = top < bottom ? 0 : top - bottom + 1;
    if (fitting != Fit::wrap && steps > 120) {
        return negative ? grid.low : grid.high;
    }
    for (size_t i = steps; i-- > 0;) {
        const Natural part = divisor.shifted(i);
        quotient <<= 1;
        if (numerator.compare(part) >= 0) {
            numerator = numerator.minus(part);
            quotient |= 1;
        }
    }
    const bool has_rest = !numerator.zero();
    if (negative) { // from the quotient towards zero to the floor
        quotient = -quotient - has_rest;
        numerator = has_rest ? divisor.minus(numerator) : numerator;
    }
    const int order = has_rest ? numerator.shifted(1).compare(divisor) : -1;
    quotient += rounds_up(rounding, negative, quotient & 1, has_rest, order);
    quotient -= static_cast<uint128>(grid.zero);
    if (fitting == Fit::wrap) {
        const uint128 low = static_cast<uint128>(grid.low);
        const uint128 mask = static_cast<uint128>(grid.high) - low;
        return static_cast<int128>(((quotient - low) & mask) + low);
    }
    return fit<Fit::saturate>(static_cast<int128>(quotient), grid);
}

// Quantize the value of a line. Nearly all are decided in float64; those that lie so near
// a boundary that its rounding could matter, in whatever direction it rounds, are not.
template <Rounding R, Fit F, class A, size_t N>
EMULATOR_INLINE Tile<A, N> quantize_line(const Tile<double, N> &x, const Line &line,
                                         double least, double most, Grid<A> grid) {
    Tile<A, N> y;
    bool doubtful[N], any = false;
    for (size_t s = 0; s < N; s++) {
        const double product = x.v[s] * line.slope, value = product + line.intercept;
        const double doubt = (std::fabs(product) + std::fabs(line.intercept)) * 0x1p-48;
        const double floor = std::floor(value), part = value - floor;
        const double half = std::fabs(part - 0.5);
        const double near = half < 0.25 ? half : 0.5 - half;
        const bool sure = (near > 2 * doubt) & (doubt < 0x1p-4);
        doubtful[s] = !sure;
        any |= !sure;
        double whole = sure ? floor : 0.0;
        if constexpr (F != Fit::wrap) {
            whole = whole < least ? least : (whole > most ? most : whole);
        }
        const A n = static_cast<A>(whole);
        const bool up = rounds_up(R, n < 0, false, true, part > 0.5 ? 1 : -1);
        y.v[s] = fit<F>(A(n + up - grid.zero), grid);
    }
    for (size_t s = 0; any && s < N; s++) {
        if (doubtful[s]) {
            const Grid<int128> exact = {grid.low, grid.high, grid.zero};
            y.v[s] = static_cast<A>(round_exactly(x.v[s], line, R, F, exact));
        }
    }
    return y;
}

} // namespace
} // namespace EMULATOR_NAMESPACE
