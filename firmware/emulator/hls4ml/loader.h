// Opens a model's library and keeps it open as long as the model lives.

#pragma once

#include <dlfcn.h>
#include <memory>
#include <stdexcept>
#include <string>

#include "emulator.h"

namespace hawq_emulator {

// Throws std::runtime_error, with the reason, if there is no library or no model in it.
// `name` is its path without the ending .so.
inline std::shared_ptr<hls4mlEmulator::Model> load(const std::string &name) {
    const std::string path = name + ".so";
    void *opened = dlopen(path.c_str(), RTLD_LAZY | RTLD_LOCAL);
    if (!opened) {
        throw std::runtime_error("cannot load the emulator " + path + ": " + dlerror());
    }
    const std::shared_ptr<void> library(opened, dlclose);
    const auto create = reinterpret_cast<hls4mlEmulator::Model *(*)()>(dlsym(opened, "create_model"));
    const auto destroy =
        reinterpret_cast<void (*)(hls4mlEmulator::Model *)>(dlsym(opened, "destroy_model"));
    if (!create || !destroy) {
        throw std::runtime_error(path + " is no emulator: it has no create_model and destroy_model");
    }
    return std::shared_ptr<hls4mlEmulator::Model>(
        create(), [library, destroy](hls4mlEmulator::Model *model) { destroy(model); });
}

} // namespace hawq_emulator
