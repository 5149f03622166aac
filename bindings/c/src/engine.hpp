// The interface of engines: what runs a model file.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "error.hpp"
#include "model_file.hpp"
#include "planes.hpp"

namespace hyperguide {

// An input of a call: floats of shape (count, channels, rows, columns).
struct Feed {
    const char *name;
    const float *values;
    std::int64_t shape[4];

    std::size_t size() const { return std::size_t(shape[0] * shape[1] * shape[2] * shape[3]); }
};

// The feeds, and the default of each of these inputs that is not fed: see the contract of model
// files.
std::vector<Feed> with_defaults(std::vector<Feed> feeds, const std::vector<const char *> &inputs);

// Runs one picture after the other; used by one thread at a time, but for `cancel`.
class Runner {
  public:
    virtual ~Runner() = default;
    // feeds: the image first, then the dials that are not at their defaults.
    // enhanced, guidance: of the image's size; are written to.
    // Throws Error(HG_FAILED, HG_OUT_OF_MEMORY or HG_CANCELLED).
    virtual void run(const std::vector<Feed> &feeds, Planes &enhanced, Planes &guidance) = 0;
    // Forget an earlier `cancel`; called before a call.
    virtual void begin() {}
    // Stop the call that runs in another thread; the caller makes sure that one does.
    virtual void cancel() = 0;
};

// A model loaded by an engine; shared by threads.
class Engine {
  public:
    virtual ~Engine() = default;
    virtual std::string name() const = 0;
    virtual std::unique_ptr<Runner> runner() = 0;
    // Pictures with shorter sides are padded to this many pixels.
    virtual int least_side() const { return 1; }
};

// What an engine says about a failure, as an Error of this kind that begins with a sentence;
// HG_OUT_OF_MEMORY if it ran out of memory.
Error engine_failure(hg_status kind, const std::string &sentence, const std::string &reason);

struct EngineOptions {
    std::string device;  // kind, without the index
    int index = 0;      // of the GPU
    std::string library;
    int threads = 0;
};

// Throw Error(HG_NO_BACKEND) if the library is missing or does not fit, Error(HG_BAD_FILE) if it
// rejects the model.
std::unique_ptr<Engine> open_onnx_runtime(const ModelFile &model, const EngineOptions &options);
bool is_onnx_runtime_found();
std::unique_ptr<Engine> open_openvino(const ModelFile &model, const EngineOptions &options);

}  // namespace hyperguide
