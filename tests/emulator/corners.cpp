// Computes corner inputs from four threads, for the sanitizers to watch.

#include <cfloat>
#include <cmath>
#include <cstdio>
#include <thread>
#include <vector>

#include "net.h"

static const double CORNERS[] = {0.0,     -0.0,    0.5,      -0.5,     1.5,         -2.5,    0.1,
                                 FLT_MAX, -FLT_MAX, FLT_MIN, -FLT_MIN, FLT_TRUE_MIN, 0x1p31, -0x1p63,
                                 0x1p64,  100.0,   -100.0,   0.25,     -0.75};
static const double NOT_FINITE[] = {NAN, INFINITY, -INFINITY};

template <class T> static std::vector<std::vector<T>> inputs(size_t samples) {
    std::vector<std::vector<T>> made;
    for (size_t i = 0; const net_input *input = net_get_input(i); i++) {
        made.emplace_back();
        for (size_t n = 0; n < samples * input->size; n++) {
            const size_t pick = (n * 7 + n / 5 + i) % (sizeof CORNERS / sizeof *CORNERS);
            made[i].push_back(static_cast<T>(CORNERS[pick]));
        }
    }
    return made;
}

static int call(const float *const *x, size_t n, int64_t *const *y, char *e, size_t l) {
    return net_trace(x, n, y, e, l);
}

static int call(const double *const *x, size_t n, int64_t *const *y, char *e, size_t l) {
    return net_trace_double(x, n, y, e, l);
}

// The integers of all tensors, or the error.
template <class T>
static std::vector<int64_t> traced(const std::vector<std::vector<T>> &x, size_t samples) {
    std::vector<const T *> from;
    for (const auto &values : x) {
        from.push_back(values.data());
    }
    std::vector<std::vector<int64_t>> kept;
    std::vector<int64_t *> to;
    for (size_t t = 0; const net_tensor *tensor = net_get_tensor(t); t++) {
        kept.emplace_back(samples * tensor->size * tensor->words);
    }
    for (auto &integers : kept) {
        to.push_back(integers.data());
    }
    char error[64];
    if (call(from.data(), samples, to.data(), error, sizeof error)) {
        return {};
    }
    std::vector<int64_t> all;
    for (const auto &integers : kept) {
        all.insert(all.end(), integers.begin(), integers.end());
    }
    return all;
}

template <class T> static bool check(size_t samples) {
    const auto x = inputs<T>(samples);
    std::vector<std::vector<int64_t>> results(4);
    std::vector<std::thread> threads;
    for (auto &result : results) {
        threads.emplace_back([&] { result = traced(x, samples); });
    }
    for (auto &thread : threads) {
        thread.join();
    }
    for (const auto &result : results) {
        if (result.empty() || result != results[0]) {
            return false;
        }
    }
    for (const double value : NOT_FINITE) {
        auto bad = x;
        bad[0].back() = static_cast<T>(value);
        if (!traced(bad, samples).empty()) {
            return false;
        }
    }
    return true;
}

int main() {
    for (const size_t samples : {1, 7, 8, 31, 32, 45}) {
        if (!check<float>(samples) || !check<double>(samples)) {
            std::printf("%zu samples differ\n", samples);
            return 1;
        }
    }
    std::printf("equal\n");
    return 0;
}
