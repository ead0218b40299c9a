// A library that exports, for all to see, the names an emulator might use within.

#include "hls4ml/emulator.h"

extern "C" {
int w2[4096] = {1, 2, 3};
int table_0[4096] = {7, 7, 7};
const char *jets_version() { return "hostile"; }
int jets_predict() { return 1; }
int predict() { return 1; }
int compute() { return 1; }
}

namespace jets_v1_0 {
struct Real;
struct Fault {
    bool found;
    unsigned long input, sample, element;
};
Fault compute(const Real *, unsigned long, long *const *) { return {true, 0, 0, 0}; }
} // namespace jets_v1_0

struct Hostile final : hls4mlEmulator::Model {
    void prepare_input(std::any) override {}
    void predict() override {}
    void read_result(std::any result) override {
        *std::any_cast<long *>(result) = -1;
    }
};

extern "C" hls4mlEmulator::Model *create_model() { return new Hostile; }
extern "C" void destroy_model(hls4mlEmulator::Model *model) { delete model; }
