// OpenVINO on the CPU.
#include <algorithm>
#include <atomic>

#include "engine.hpp"
#include "openvino_api.hpp"

namespace hyperguide {

namespace {

using namespace openvino;

// Below so many pixels, or this many size multiples, OpenVINO's int8 convolutions for processors
// with AMX are wrong (2026.4.1): a network that downsamples a narrow picture has one column then.
constexpr int NARROW = 16, NARROW_MULTIPLES = 3;
constexpr Range ANY{-1, -1}, ONE{1, 1};

class OpenVino : public Engine {
  public:
    OpenVino(const ModelFile &model, const EngineOptions &options)
        : api(options.library),
          least_side_(model.info.precision == "int8"
                          ? std::max(NARROW, NARROW_MULTIPLES * model.info.size_multiple)
                          : 1) {
        inputs = {name::IMAGE, name::GUIDANCE_IN, name::MIX, name::SCALE, name::STRENGTH};
        if (model.takes_kernel)
            inputs.push_back(name::KERNEL);
        api.check(api.create_core(&core_), HG_NO_BACKEND, "OpenVINO does not start");
        try {
            compile(model, options.threads);
        } catch (...) {
            api.free_core(core_);
            throw;
        }
    }
    ~OpenVino() override {
        api.free_compiled(compiled);
        api.free_core(core_);
    }

    std::string name() const override { return "OpenVINO " + api.version(); }
    std::unique_ptr<Runner> runner() override;
    int least_side() const override { return least_side_; }

    const Api api;
    std::vector<const char *> inputs;
    Compiled *compiled = nullptr;

  private:
    void compile(const ModelFile &file, int threads) {
        const std::string content = file.with_inputs();
        Model *model = nullptr;
        api.check(api.read_model(core_, content.data(), content.size(), nullptr, &model),
                  HG_BAD_FILE, "OpenVINO rejects the model file");
        const std::unique_ptr<Model, void (*)(Model *)> owned(model, api.free_model);
        Range picture[] = {ONE, {file.info.channels(), file.info.channels()}, ANY, ANY};
        Range map[] = {ONE, ONE, ANY, ANY};
        std::vector<PartialShape> shapes(inputs.size(), {{4, 4}, map});
        shapes[0].sides = picture;
        api.check(api.reshape(model, inputs.data(), shapes.data(), shapes.size()), HG_BAD_FILE,
                  "OpenVINO rejects the model file");
        // By default it computes in bf16 where the processor supports it.
        const char *hint = "PERFORMANCE_HINT", *latency = "LATENCY";
        const char *precision = "INFERENCE_PRECISION_HINT", *f32 = "f32";
        const std::string number = std::to_string(threads);
        api.check(threads ? api.compile(core_, model, "CPU", 6, &compiled, hint, latency, precision,
                                        f32, "INFERENCE_NUM_THREADS", number.c_str())
                          : api.compile(core_, model, "CPU", 4, &compiled, hint, latency, precision,
                                        f32),
                  HG_BAD_FILE, "OpenVINO rejects the model file");
    }

    int least_side_;
    Core *core_ = nullptr;
};

class OpenVinoRunner : public Runner {
  public:
    explicit OpenVinoRunner(OpenVino &engine) : engine_(engine) {
        engine_.api.check(engine_.api.create_request(engine_.compiled, &request_), HG_FAILED,
                          "OpenVINO makes no session");
    }
    ~OpenVinoRunner() override { engine_.api.free_request(request_); }

    void run(const std::vector<Feed> &feeds, Planes &enhanced, Planes &guidance) override {
        for (const Feed &feed : with_defaults(feeds, engine_.inputs))
            set(feed);
        const Feed &image = feeds[0];
        const std::int64_t rows = image.shape[2], columns = image.shape[3];
        set({name::ENHANCED, enhanced.values.data(), {1, image.shape[1], rows, columns}});
        set({name::GUIDANCE, guidance.values.data(), {1, 1, rows, columns}});
        engine_.api.check(engine_.api.start(request_), HG_FAILED, FAILED);
        if (is_cancelled_)  // a request that has not started is not cancelled
            engine_.api.cancel(request_);
        engine_.api.check(engine_.api.wait(request_), HG_FAILED, FAILED);
        check_output(name::ENHANCED, enhanced);
        check_output(name::GUIDANCE, guidance);
    }

    void begin() override { is_cancelled_ = false; }

    void cancel() override {
        is_cancelled_ = true;
        engine_.api.cancel(request_);
    }

  private:
    static constexpr char FAILED[] = "OpenVINO failed on this picture";

    // Makes the request read, or write, the values of a feed.
    void set(const Feed &feed) {
        const Api &api = engine_.api;
        std::int64_t shape[4];
        std::copy(feed.shape, feed.shape + 4, shape);
        Tensor *tensor = nullptr;
        api.check(
            api.create_tensor(api.float32(), {4, shape}, const_cast<float *>(feed.values), &tensor),
            HG_FAILED, FAILED);
        const Status status = api.set_tensor(request_, feed.name, tensor);
        api.free_tensor(tensor);
        api.check(status, HG_FAILED, FAILED);
    }

    // Throws Error(HG_FAILED) unless an output is where it was told to be: graphs come from files.
    void check_output(const char *name, const Planes &planes) {
        const Api &api = engine_.api;
        Tensor *tensor = nullptr;
        api.check(api.get_tensor(request_, name, &tensor), HG_FAILED, FAILED);
        std::size_t bytes = 0;
        void *data = nullptr;
        api.tensor_bytes(tensor, &bytes);
        api.tensor_data(tensor, &data);
        api.free_tensor(tensor);
        if (bytes != planes.values.size() * sizeof(float) || data != planes.values.data())
            throw Error(HG_FAILED, std::string("OpenVINO gave '") + name +
                                       "' in another size than the picture's: export or download "
                                       "the model file again.");
    }

    OpenVino &engine_;
    Request *request_ = nullptr;
    std::atomic<bool> is_cancelled_{false};
};

std::unique_ptr<Runner> OpenVino::runner() { return std::make_unique<OpenVinoRunner>(*this); }

}  // namespace

std::unique_ptr<Engine> open_openvino(const ModelFile &model, const EngineOptions &options) {
    return std::make_unique<OpenVino>(model, options);
}

}  // namespace hyperguide
