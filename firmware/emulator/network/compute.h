// What the network offers to the interfaces around it.

#pragma once

#include <cstddef>
#include <cstdint>

#include "config.h"

namespace EMULATOR_NAMESPACE {

// Real values, (samples, elements of the input), of one of two types.
struct Real {
    const float *floats;
    const double *doubles;
};

struct Input {
    const char *name;
    size_t size;
};

// The first value that is not a finite number.
struct Fault {
    bool found;
    size_t input, sample, element;
};

extern const Input inputs[INPUTS];

// Computes many samples. `sinks` has one pointer a tensor: null, or where its integers go,
// (samples, elements, words of an integer). Nothing outlives the call.
Fault compute(const Real *real, size_t samples, int64_t *const *sinks);

} // namespace EMULATOR_NAMESPACE
