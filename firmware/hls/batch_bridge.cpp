// Runs an hls4ml project over a batch and hands back every named tensor.
//
// Compiled with the project's folder on the include path. The project is written with
// tracing, so each layer stores its output by name after every sample. The input is
// converted to the firmware's input type and back, which shows what the first layer
// really reads.

#include <cstddef>
#include <cstring>
#include <tuple>
#include <vector>

// One translation unit: the arbitrary-precision headers take longer to parse than the
// network.
#include "firmware/network.cpp"
#if __has_include("firmware/network_axi.cpp")
#include "firmware/network_axi.cpp" // VivadoAccelerator's, between bridge and network
#endif
#include "network_bridge.cpp" // hls4ml's: network_double and the trace storage

namespace {

// input_t is one ap_fixed with parallel inputs and an nnet::array of them with streams.
template <class T> struct element_of {
    typedef T type;
};
template <class T, unsigned N> struct element_of<nnet::array<T, N>> {
    typedef T type;
};

// hls4ml's function takes one pointer a port, inputs first, and in some back ends a
// reference for the size of each, which it does not use.
struct ports_t {
    std::vector<double *> pointers;
    size_t next = 0;
    unsigned short size = 0;
    operator double *() { return pointers[next++]; }
    operator unsigned short &() { return size; }
};

template <class... Arguments>
void call(void (*function)(Arguments...), ports_t ports) {
    // Braces fix the order of evaluation; parentheses would not.
    std::tuple<Arguments...> arguments{static_cast<Arguments>(ports)...};
    std::apply(function, arguments);
}

} // namespace

// Returns 0, or 1 + the index of the first trace name that the firmware does not store.
extern "C" int hawq_run_batch(double *features, size_t samples, size_t n_features,
                              double *inputs, double **outputs,
                              const size_t *output_sizes, size_t n_outputs,
                              const char **names, double **traces, const size_t *sizes,
                              size_t n_traces) {
    typedef element_of<input_t>::type input_element_t;
    int missing = 0;
#ifdef HAWQ_CATAPULT
    s_weights_dir = WEIGHTS_DIR; // where the project is now, not where it was written
#endif
    allocate_trace_storage(sizeof(double));
    for (size_t sample = 0; sample < samples && !missing; sample++) {
        double *x = features + sample * n_features;
        for (size_t i = 0; i < n_features; i++) {
            inputs[sample * n_features + i] = input_element_t(x[i]).to_double();
        }
        ports_t ports;
        ports.pointers.push_back(x);
        for (size_t o = 0; o < n_outputs; o++) {
            ports.pointers.push_back(outputs[o] + sample * output_sizes[o]);
        }
        call(network_double, ports);
        for (size_t t = 0; t < n_traces; t++) {
            auto stored = nnet::trace_outputs->find(names[t]);
            if (stored == nnet::trace_outputs->end()) {
                missing = static_cast<int>(t) + 1;
                break;
            }
            std::memcpy(traces[t] + sample * sizes[t], stored->second,
                        sizes[t] * sizeof(double));
        }
    }
    free_trace_storage();
    return missing;
}
