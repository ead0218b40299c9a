// The interface through which CMS software runs an emulated network.
//
// A model is a shared library that exports create_model and destroy_model. The order of
// the virtual functions is part of the binary interface.

#ifndef HLS4ML_EMULATOR_H_
#define HLS4ML_EMULATOR_H_

#include <any>

namespace hls4mlEmulator {

class Model {
  public:
    // Takes the input of one sample: see the model's own header for what it may be.
    virtual void prepare_input(std::any input) = 0;
    // Computes.
    virtual void predict() = 0;
    // Writes the result through the pointer that the argument holds.
    virtual void read_result(std::any result) = 0;
    virtual ~Model() = default;
};

} // namespace hls4mlEmulator

extern "C" hls4mlEmulator::Model *create_model();
extern "C" void destroy_model(hls4mlEmulator::Model *model);

#endif
