// Natural numbers of up to 6144 bits, for the few values that float64 cannot decide.

#pragma once

#include "tile.h"

namespace EMULATOR_NAMESPACE {
namespace {

class Natural {
  public:
    static constexpr size_t CAPACITY = 192;

    Natural() = default;
    Natural(const uint32_t *words, size_t count) : used(count) {
        for (size_t i = 0; i < count; i++) {
            word[i] = words[i];
        }
    }

    bool zero() const { return used == 0; }

    size_t bits() const {
        size_t n = 32 * used;
        while (n && !(word[(n - 1) / 32] >> (n - 1) % 32 & 1)) {
            n--;
        }
        return n;
    }

    // -1, 0 or 1.
    int compare(const Natural &other) const {
        if (used != other.used) {
            return used < other.used ? -1 : 1;
        }
        for (size_t i = used; i-- > 0;) {
            if (word[i] != other.word[i]) {
                return word[i] < other.word[i] ? -1 : 1;
            }
        }
        return 0;
    }

    Natural shifted(size_t count) const {
        Natural y;
        if (zero()) {
            return y;
        }
        const size_t whole = count / 32, rest = count % 32;
        y.used = used + whole + 1;
        for (size_t i = 0; i < used; i++) {
            const uint64_t moved = static_cast<uint64_t>(word[i]) << rest;
            y.word[i + whole] |= static_cast<uint32_t>(moved);
            y.word[i + whole + 1] |= static_cast<uint32_t>(moved >> 32);
        }
        y.trim();
        return y;
    }

    Natural times(uint64_t factor) const {
        Natural y;
        y.used = used + 2;
        for (size_t half = 0; half < 2; half++) {
            const uint64_t digit = half ? factor >> 32 : factor & 0xffffffffu;
            uint64_t carry = 0;
            for (size_t i = 0; i < used; i++) {
                carry += word[i] * digit + y.word[i + half];
                y.word[i + half] = static_cast<uint32_t>(carry);
                carry >>= 32;
            }
            y.word[used + half] = static_cast<uint32_t>(carry);
        }
        y.trim();
        return y;
    }

    Natural plus(const Natural &other) const {
        Natural y;
        y.used = (used > other.used ? used : other.used) + 1;
        uint64_t carry = 0;
        for (size_t i = 0; i < y.used; i++) {
            carry += static_cast<uint64_t>(word[i]) + other.word[i];
            y.word[i] = static_cast<uint32_t>(carry);
            carry >>= 32;
        }
        y.trim();
        return y;
    }

    // The other must not be larger.
    Natural minus(const Natural &other) const {
        Natural y;
        y.used = used;
        int64_t borrow = 0;
        for (size_t i = 0; i < used; i++) {
            borrow += static_cast<int64_t>(word[i]) - other.word[i];
            y.word[i] = static_cast<uint32_t>(borrow);
            borrow >>= 32;
        }
        y.trim();
        return y;
    }

  private:
    void trim() {
        while (used && !word[used - 1]) {
            used--;
        }
    }

    uint32_t word[CAPACITY] = {};
    size_t used = 0;
};

} // namespace
} // namespace EMULATOR_NAMESPACE
