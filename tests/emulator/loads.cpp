// Loads emulators as CMS software does, and says what they answer.
//
//   loads NAME...          opens NAME.so of each, all at once, and prints its answers
//   loads -t N NAME        the same from N threads
//
// One line a model: the integers of its output for the input 0.5, -1.25, 3, 0.125.

#include <cstdint>
#include <iostream>
#include <thread>
#include <vector>

#include "hls4ml/loader.h"

static std::string answer(hls4mlEmulator::Model &model) {
    const float input[] = {0.5f, -1.25f, 3.0f, 0.125f};
    int64_t output[3] = {};
    model.prepare_input(static_cast<const float *>(input));
    model.predict();
    model.read_result(static_cast<int64_t *>(output));
    std::string text;
    for (const int64_t n : output) {
        text += std::to_string(n) + " ";
    }
    return text;
}

int main(int count, char **arguments) try {
    std::vector<std::string> names(arguments + 1, arguments + count);
    if (names.at(0) == "-t") {
        const size_t threads = std::stoul(names.at(1));
        std::vector<std::string> answers(threads);
        std::vector<std::thread> pool;
        for (size_t t = 0; t < threads; t++) {
            pool.emplace_back([&, t] {
                const auto model = hawq_emulator::load(names.at(2));
                for (int i = 0; i < 200; i++) {
                    answers[t] = answer(*model);
                }
            });
        }
        for (std::thread &thread : pool) {
            thread.join();
        }
        for (const std::string &text : answers) {
            std::cout << text << "\n";
        }
        return 0;
    }
    std::vector<std::shared_ptr<hls4mlEmulator::Model>> models;
    for (const std::string &name : names) {
        models.push_back(hawq_emulator::load(name));
    }
    for (const auto &model : models) {
        std::cout << answer(*model) << "\n";
    }
    return 0;
} catch (const std::exception &error) {
    std::cerr << error.what() << "\n";
    return 1;
}
