// ONNX Runtime through its C API: a table of functions that only grows at its end.
//
// The part of the table that is used is declared here, by the numbers of the slots; ONNX Runtime
// promises that they stay (https://onnxruntime.ai/docs/api/c/).
#include <cstdlib>

#include "engine.hpp"
#include "error.hpp"
#include "library.hpp"

namespace hyperguide {

namespace {

const LibraryName NAME = {"ONNX Runtime", "HYPERGUIDE_ONNXRUNTIME",
                           "onnxruntime/capi/libonnxruntime.so.*", "libonnxruntime.so*"};

// Opaque types of the library; a null status means success.
struct Status;
struct Environment;
struct SessionOptions;
struct Session;
struct RunOptions;
struct Tensor;
struct MemoryInfo;
struct ProviderOptions;
struct Base {
    const void *const *(*api)(std::uint32_t version);
    const char *(*version)();
};

constexpr std::uint32_t API = 16;  // of September 2023; all later libraries offer it
constexpr int FLOAT = 1;          // type of a tensor's elements
constexpr int FATAL = 4;          // severity of messages that it prints

// A function of the table.
template <int slot, typename... Arguments> struct Function {
    static Status *call(const void *const *api, Arguments... arguments) {
        return reinterpret_cast<Status *(*)(Arguments...)>(const_cast<void *>(api[slot]))(
            arguments...);
    }
};
template <int slot, typename Handle> struct Release {
    static void call(const void *const *api, Handle *handle) {
        reinterpret_cast<void (*)(Handle *)>(const_cast<void *>(api[slot]))(handle);
    }
};

using CreateEnvironment = Function<3, int, const char *, Environment **>;
using CreateSession = Function<8, const Environment *, const void *, std::size_t,
                               const SessionOptions *, Session **>;
using Run = Function<9, Session *, const RunOptions *, const char *const *, const Tensor *const *,
                     std::size_t, const char *const *, std::size_t, Tensor **>;
using CreateSessionOptions = Function<10, SessionOptions **>;
using SetSeverity = Function<22, SessionOptions *, int>;
using SetThreads = Function<24, SessionOptions *, int>;
using CreateRunOptions = Function<39, RunOptions **>;
using SetTerminate = Function<46, RunOptions *>;
using UnsetTerminate = Function<47, RunOptions *>;
using CreateTensor = Function<49, const MemoryInfo *, void *, std::size_t, const std::int64_t *,
                              std::size_t, int, Tensor **>;
using CreateCpuMemory = Function<69, int, int, MemoryInfo **>;
using ReleaseEnvironment = Release<92, Environment>;
using ReleaseStatus = Release<93, Status>;
using ReleaseMemory = Release<94, MemoryInfo>;
using ReleaseSession = Release<95, Session>;
using ReleaseTensor = Release<96, Tensor>;
using ReleaseRunOptions = Release<97, RunOptions>;
using ReleaseSessionOptions = Release<100, SessionOptions>;

// The same four functions for the two providers of NVIDIA's GPUs.
template <int append, int create, int update, int release> struct Provider {
    using Append = Function<append, SessionOptions *, const ProviderOptions *>;
    using Create = Function<create, ProviderOptions **>;
    using Update =
        Function<update, ProviderOptions *, const char *const *, const char *const *, std::size_t>;
    using Free = Release<release, ProviderOptions>;
};
using Cuda = Provider<204, 205, 206, 208>;
using TensorRt = Provider<170, 171, 172, 174>;

// The table, with calls that throw.
class Api {
  public:
    explicit Api(const std::string &path) : library_(NAME, path) {
        const Base *base = library_.function<const Base *()>("OrtGetApiBase")();
        version_ = base->version();
        // Asked for a newer table than it has, it prints to stderr.
        const std::size_t dot = version_.find('.');
        const int major = std::atoi(version_.c_str());
        const int minor = dot == std::string::npos ? 0 : std::atoi(version_.c_str() + dot + 1);
        table_ = major > 1 || minor >= int(API) ? base->api(API) : nullptr;
        if (!table_)
            throw Error(HG_NO_BACKEND, "ONNX Runtime " + version_ + " in " + library_.path() +
                                           " is too old: install 1." + std::to_string(API) +
                                           " or newer.");
    }

    const void *const *table() const { return table_; }
    const std::string &version() const { return version_; }

    // Throws an Error of this kind, that begins with a sentence, unless the status is success.
    void check(Status *status, hg_status kind, const std::string &sentence) const {
        if (!status)
            return;
        using Message = const char *(*)(const Status *);
        std::string reason =
            reinterpret_cast<Message>(const_cast<void *>(table_[ERROR_MESSAGE]))(status);
        ReleaseStatus::call(table_, status);
        throw engine_failure(kind, sentence, reason.substr(0, reason.find('\n')));
    }

  private:
    static constexpr int ERROR_MESSAGE = 2;

    Library library_;
    std::string version_;
    const void *const *table_;
};

// A handle that is released with its owner.
template <typename Handle, typename Releaser> class Owned {
  public:
    explicit Owned(const Api &api) : api_(&api) {}
    ~Owned() { reset(); }
    Owned(const Owned &) = delete;
    Owned &operator=(const Owned &) = delete;
    Handle **fill() {
        reset();
        return &handle_;
    }
    Handle *get() const { return handle_; }

  private:
    void reset() {
        if (handle_)
            Releaser::call(api_->table(), handle_);
        handle_ = nullptr;
    }

    const Api *api_;
    Handle *handle_ = nullptr;
};

class OnnxRuntime;

class OnnxRuntimeRunner : public Runner {
  public:
    explicit OnnxRuntimeRunner(OnnxRuntime &engine);
    void run(const std::vector<Feed> &feeds, Planes &enhanced, Planes &guidance) override;
    void begin() override;
    void cancel() override;

  private:
    OnnxRuntime &engine_;
    Owned<RunOptions, ReleaseRunOptions> options_;
};

class OnnxRuntime : public Engine {
  public:
    OnnxRuntime(const ModelFile &model, const EngineOptions &options)
        : api(options.library), environment_(api), memory(api), session(api),
          required(model.required), device_(options.device) {
        const std::string &product = "ONNX Runtime " + api.version();
        api.check(CreateEnvironment::call(api.table(), FATAL, "hyperguide", environment_.fill()),
                  HG_NO_BACKEND, product + " does not start");
        api.check(CreateCpuMemory::call(api.table(), ARENA, DEFAULT_MEMORY, memory.fill()),
                  HG_NO_BACKEND, product + " does not start");
        Owned<SessionOptions, ReleaseSessionOptions> settings(api);
        api.check(CreateSessionOptions::call(api.table(), settings.fill()), HG_NO_BACKEND,
                  product + " does not start");
        api.check(SetSeverity::call(api.table(), settings.get(), FATAL), HG_NO_BACKEND,
                  product + " does not start");
        api.check(SetThreads::call(api.table(), settings.get(), options.threads), HG_NO_BACKEND,
                  product + " takes no such number of threads");
        if (device_ == "cuda")
            append<Cuda>(settings.get(), {{"device_id", std::to_string(options.index)},
                                          {"use_tf32", "0"},
                                          {"cudnn_conv_algo_search", "HEURISTIC"}});
        if (device_ == "ort-tensorrt")
            append<TensorRt>(settings.get(), {{"device_id", std::to_string(options.index)}});
        api.check(CreateSession::call(api.table(), environment_.get(), model.content.data(),
                                      model.content.size(), settings.get(), session.fill()),
                  device_ == "cpu" ? HG_BAD_FILE : HG_NO_BACKEND,
                  device_ == "cpu" ? "ONNX Runtime rejects the model file"
                                   : "ONNX Runtime does not start on the device " + device_);
    }

    std::string name() const override {
        return "ONNX Runtime " + api.version() + ", " + device_;
    }
    std::unique_ptr<Runner> runner() override { return std::make_unique<OnnxRuntimeRunner>(*this); }

    const Api api;

  private:
    static constexpr int ARENA = 1, DEFAULT_MEMORY = 0;
    using Settings = std::vector<std::pair<const char *, std::string>>;

    // Makes the session run on a GPU.
    template <typename Kind> void append(SessionOptions *settings, const Settings &values) const {
        const std::string sentence = "ONNX Runtime does not start on the device " + device_;
        Owned<ProviderOptions, typename Kind::Free> provider(api);
        api.check(Kind::Create::call(api.table(), provider.fill()), HG_NO_BACKEND, sentence);
        std::vector<const char *> keys, texts;
        for (const auto &[key, text] : values)
            keys.push_back(key), texts.push_back(text.c_str());
        api.check(Kind::Update::call(api.table(), provider.get(), keys.data(), texts.data(),
                                     keys.size()),
                  HG_NO_BACKEND, sentence);
        api.check(Kind::Append::call(api.table(), settings, provider.get()), HG_NO_BACKEND, sentence);
    }

    Owned<Environment, ReleaseEnvironment> environment_;

  public:
    Owned<MemoryInfo, ReleaseMemory> memory;
    Owned<Session, ReleaseSession> session;
    const std::vector<const char *> required;

  private:
    std::string device_;
};

OnnxRuntimeRunner::OnnxRuntimeRunner(OnnxRuntime &engine) : engine_(engine), options_(engine.api) {
    engine_.api.check(CreateRunOptions::call(engine_.api.table(), options_.fill()), HG_FAILED,
                      "ONNX Runtime makes no session");
}

void OnnxRuntimeRunner::run(const std::vector<Feed> &feeds, Planes &enhanced, Planes &guidance) {
    const Api &api = engine_.api;
    const std::string sentence = engine_.name() + " failed on this picture";
    using OwnedTensor = Owned<Tensor, ReleaseTensor>;
    const auto tensor = [&](OwnedTensor &to, const float *values, const std::int64_t *shape,
                            std::size_t size) {
        api.check(CreateTensor::call(api.table(), engine_.memory.get(),
                                     const_cast<float *>(values), size * sizeof(float), shape, 4,
                                     FLOAT, to.fill()),
                  HG_FAILED, sentence);
    };
    std::vector<const char *> names;
    std::vector<std::unique_ptr<OwnedTensor>> inputs;
    std::vector<const Tensor *> handles;
    for (const Feed &feed : with_defaults(feeds, engine_.required)) {
        inputs.push_back(std::make_unique<OwnedTensor>(api));
        tensor(*inputs.back(), feed.values, feed.shape, feed.size());
        names.push_back(feed.name);
        handles.push_back(inputs.back()->get());
    }
    const Feed &image = feeds[0];
    const std::int64_t map_shape[4] = {1, 1, image.shape[2], image.shape[3]};
    // It writes into these, or fails if the file's outputs have other sizes.
    OwnedTensor picture(api), map(api);
    tensor(picture, enhanced.values.data(), image.shape, enhanced.values.size());
    tensor(map, guidance.values.data(), map_shape, guidance.values.size());
    const char *outputs[] = {name::ENHANCED, name::GUIDANCE};
    Tensor *results[] = {picture.get(), map.get()};
    api.check(Run::call(api.table(), engine_.session.get(), options_.get(), names.data(),
                        handles.data(), handles.size(), outputs, 2, results),
              HG_FAILED, sentence);
}

void OnnxRuntimeRunner::begin() {
    engine_.api.check(UnsetTerminate::call(engine_.api.table(), options_.get()), HG_FAILED,
                      "ONNX Runtime does not go on");
}

void OnnxRuntimeRunner::cancel() {
    engine_.api.check(SetTerminate::call(engine_.api.table(), options_.get()), HG_FAILED,
                      "ONNX Runtime does not stop");
}

}  // namespace

bool is_onnx_runtime_found() { return is_found(NAME); }

std::unique_ptr<Engine> open_onnx_runtime(const ModelFile &model, const EngineOptions &options) {
    return std::make_unique<OnnxRuntime>(model, options);
}

}  // namespace hyperguide
