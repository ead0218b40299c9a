// An oracle for hawq/fixed.py: the vendor's ap_fixed itself, in many formats.
//
//   fixed_oracle list           one line a conversion: source signed W I Q O
//   fixed_oracle convert ROW    8-byte values on stdin -> the W bits of each on stdout
//
// The source says what the values are: "fine" int64 worth 2^-40, "coarse" int64 worth
// 2^6, "real" double. Q and O are the vendor's ap_q_mode and ap_o_mode.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "ap_fixed.h"

struct Fine {
    static constexpr const char *name = "fine";
    using type = ap_fixed<64, 24>;
};
struct Coarse {
    static constexpr const char *name = "coarse";
    using type = ap_fixed<64, 70>;
};
struct Real {
    static constexpr const char *name = "real";
    using type = double;
};

void read_value(uint64_t bits, double &value) { std::memcpy(&value, &bits, 8); }

template <typename Fixed> void read_value(uint64_t bits, Fixed &value) {
    value.range(63, 0) = ap_uint<64>(bits);
}

using Bits = std::vector<uint64_t>;

struct Conversion {
    const char *source;
    int is_signed, width, integer, rounding, overflow;
    void (*run)(const Bits &, Bits &);
};

std::vector<Conversion> conversions;

template <typename Target, int W, typename Source>
void convert(const Bits &values, Bits &results) {
    for (uint64_t bits : values) {
        typename Source::type value;
        read_value(bits, value);
        Target target = value;
        results.push_back(ap_uint<W>(target.range(W - 1, 0)).to_uint64());
    }
}

template <typename Source, bool S, int W, int I, ap_q_mode Q, ap_o_mode O> void add() {
    using Target = std::conditional_t<S, ap_fixed<W, I, Q, O>, ap_ufixed<W, I, Q, O>>;
    conversions.push_back({Source::name, S, W, I, Q, O, convert<Target, W, Source>});
}

template <typename Source, int W, int I, ap_q_mode Q> void add_overflows() {
    add<Source, true, W, I, Q, AP_WRAP>();
    add<Source, true, W, I, Q, AP_SAT>();
    add<Source, true, W, I, Q, AP_SAT_SYM>();
    add<Source, false, W, I, Q, AP_WRAP>();
    add<Source, false, W, I, Q, AP_SAT>();
    add<Source, false, W, I, Q, AP_SAT_SYM>();
}

template <typename Source, int W, int I> void add_modes() {
    add_overflows<Source, W, I, AP_RND>();
    add_overflows<Source, W, I, AP_RND_ZERO>();
    add_overflows<Source, W, I, AP_RND_MIN_INF>();
    add_overflows<Source, W, I, AP_RND_INF>();
    add_overflows<Source, W, I, AP_RND_CONV>();
    add_overflows<Source, W, I, AP_TRN>();
    add_overflows<Source, W, I, AP_TRN_ZERO>();
}

int main(int argc, char **argv) {
    add_modes<Fine, 1, 1>();
    add_modes<Fine, 7, 3>();
    add_modes<Real, 7, 3>();
    add_modes<Fine, 12, -3>();
    add_modes<Coarse, 16, 70>();
    add_modes<Fine, 64, 34>();
    add_modes<Real, 64, 34>();
    if (argc == 2 && std::string(argv[1]) == "list") {
        for (const Conversion &c : conversions)
            std::printf("%s %d %d %d %d %d\n", c.source, c.is_signed, c.width, c.integer,
                        c.rounding, c.overflow);
        return 0;
    }
    Bits values, results;
    for (uint64_t value; std::fread(&value, sizeof value, 1, stdin) == 1;)
        values.push_back(value);
    conversions.at(std::atoi(argv[2])).run(values, results);
    std::fwrite(results.data(), sizeof(uint64_t), results.size(), stdout);
    return 0;
}
