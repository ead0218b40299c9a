// Runs a netlist: vectors go in back to back, one a clock, through the flat ports.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

#include "Vnetwork.h"

namespace {

struct Simulation {
    VerilatedContext context;
    std::unique_ptr<Vnetwork> network;
};

// A port is a little-endian integer, or an array of words of 32 bits.
template <typename Port> void set(Port &port, const uint32_t *words, size_t count) {
    std::memcpy(&port, words, std::min(sizeof(Port), count * sizeof(uint32_t)));
}

template <typename Port> void get(const Port &port, uint32_t *words, size_t count) {
    std::memset(words, 0, count * sizeof(uint32_t));
    std::memcpy(words, &port, std::min(sizeof(Port), count * sizeof(uint32_t)));
}

template <typename Network> auto clock(Network &network, bool high) -> decltype(network.clk, void()) {
    network.clk = high;
    network.eval();
}

void clock(Vnetwork &network, ...) { network.eval(); }

}  // namespace

extern "C" {

// All that is undefined or not initialised takes random values of the seed.
void *gates_open(int seed) {
    auto *made = new Simulation;
    made->context.randReset(2);
    made->context.randSeed(seed);
    made->network = std::make_unique<Vnetwork>(&made->context);
    clock(*made->network, false);
    return made;
}

void gates_close(void *handle) { delete static_cast<Simulation *>(handle); }

// After the last vector, inputs stay until its output is there.
void gates_run(void *handle, const uint32_t *inputs, uint32_t *outputs, size_t samples,
               size_t input_words, size_t output_words, size_t stages) {
    Vnetwork &network = *static_cast<Simulation *>(handle)->network;
    const size_t delay = stages ? stages - 1 : 0;
    for (size_t t = 0; t < samples + delay; ++t) {
        const size_t given = std::min(t, samples - 1);
        set(network.model_inp, inputs + given * input_words, input_words);
        clock(network, false);
        clock(network, true);
        if (t >= delay)
            get(network.model_out, outputs + (t - delay) * output_words, output_words);
    }
}
}
