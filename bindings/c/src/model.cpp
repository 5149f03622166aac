// Models: loading, and the part of the interface that describes them.
#include "model.hpp"

#include "error.hpp"
#include "openvino_api.hpp"

namespace hyperguide {

namespace {

constexpr int MOST_THREADS = 1024, MOST_DEVICES = 64;

// Tells how far loading is, and throws Error(HG_CANCELLED) if that is wished.
void progress(const hg_model_options &options, float share) {
    if (options.progress && options.progress(share, options.user) != 0)
        throw Error(HG_CANCELLED, "Loading was cancelled.");
}

void log(const hg_model_options &options, hg_log_level level, const std::string &message) {
    if (options.log)
        options.log(level, message.c_str(), options.user);
}

// The device of the options: "auto", or a kind and the index of a GPU.
EngineOptions engine_options(const hg_model_options &options) {
    EngineOptions found;
    found.device = options.device && *options.device ? options.device : "auto";
    found.library = options.library ? options.library : "";
    found.threads = options.threads;
    if (options.threads < 0 || options.threads > MOST_THREADS)
        throw Error(HG_BAD_ARGUMENT, "The number of threads must be 0, for one per core, or up to " +
                                         std::to_string(MOST_THREADS) + ".");
    const std::string given = found.device;
    const std::size_t colon = given.find(':');
    found.device = given.substr(0, colon);
    const bool is_gpu = found.device == "cuda" || found.device == "ort-tensorrt";
    bool is_known = is_gpu || found.device == "auto" || found.device == "cpu" ||
                    found.device == "openvino";
    if (colon != std::string::npos) {
        const std::string digits = given.substr(colon + 1);
        is_known &= is_gpu && !digits.empty() && digits.size() < 3 &&
                    digits.find_first_not_of("0123456789") == std::string::npos;
        found.index = is_known ? std::stoi(digits) : 0;
    }
    if (!is_known || found.index >= MOST_DEVICES)
        throw Error(HG_BAD_ARGUMENT, "The device '" + given + "' is unknown: give auto, openvino, "
                                     "cpu, cuda, cuda:N, ort-tensorrt or ort-tensorrt:N.");
    return found;
}

// The engine for the device "auto": int8 and fp32 are faster in OpenVINO on most processors.
std::unique_ptr<Engine> open_any(const ModelFile &file, EngineOptions options,
                                 const hg_model_options &given) {
    options.device = "cpu";
    const bool is_named = !options.library.empty();
    const std::string name = options.library.substr(options.library.rfind('/') + 1);
    const bool may_be_openvino =
        is_named ? name.find("openvino") != std::string::npos : openvino::is_found();
    if (!may_be_openvino && !is_named && !is_onnx_runtime_found())
        throw Error(HG_NO_BACKEND,
                    "Neither OpenVINO nor ONNX Runtime was found: activate a virtual environment "
                    "after 'pip install openvino', or set HYPERGUIDE_OPENVINO or "
                    "HYPERGUIDE_ONNXRUNTIME to the path of its library.");
    if (!may_be_openvino)
        return open_onnx_runtime(file, options);
    try {
        return open_openvino(file, options);
    } catch (const Error &error) {
        if (is_named)
            throw;
        log(given, HG_LOG_WARNING, error.what());
        return open_onnx_runtime(file, options);
    }
}

std::shared_ptr<const Model> load(std::string content, const std::string &where,
                                  const hg_model_options &options) {
    const EngineOptions wanted = engine_options(options);
    progress(options, 0.1f);
    const ModelFile file(std::move(content), where);
    progress(options, 0.3f);
    auto model = std::make_shared<Model>();
    model->info = file.info;
    model->takes_kernel = file.takes_kernel;
    model->engine = wanted.device == "auto"       ? open_any(file, wanted, options)
                    : wanted.device == "openvino" ? open_openvino(file, wanted)
                                                  : open_onnx_runtime(file, wanted);
    model->engine_name = model->engine->name();
    log(options, HG_LOG_INFO, where + " runs on " + model->engine_name + ".");
    progress(options, 1);
    return model;
}

template <typename Load> hg_model *loaded(const hg_model_options *given, Load load) {
    hg_model *handle = nullptr;
    guarded([&] {
        const hg_model_options options = given ? *given : hg_model_options{};
        progress(options, 0);
        auto owner = std::make_unique<hg_model>();
        owner->shared = load(options);
        handle = owner.release();
    });
    return handle;
}

}  // namespace

}  // namespace hyperguide

using namespace hyperguide;

int hg_abi_version(void) { return HG_ABI_VERSION; }

const char *hg_version(void) { return HYPERGUIDE_VERSION; }

const char *hg_last_error(void) { return last_error_of_thread(); }

hg_status hg_last_status(void) { return last_status_of_thread(); }

hg_model *hg_model_open(const char *path, const hg_model_options *given) {
    return loaded(given, [path](const hg_model_options &options) {
        if (!path || !*path)
            throw Error(HG_BAD_ARGUMENT, "There is no path: give that of an .onnx file.");
        return load(read_file(path), path, options);
    });
}

hg_model *hg_model_from_memory(const void *data, size_t size, const hg_model_options *given) {
    return loaded(given, [data, size](const hg_model_options &options) {
        if (!data)
            throw Error(HG_BAD_ARGUMENT, "There is no data: give the bytes of an .onnx file.");
        return load(std::string(static_cast<const char *>(data), size), "The model in memory",
                    options);
    });
}

void hg_model_destroy(hg_model *model) { delete model; }

hg_status hg_model_get_info(const hg_model *handle, hg_model_info *info) {
    return guarded([&] {
        if (!handle || !info)
            throw Error(HG_BAD_ARGUMENT, "The model or the place for its description is NULL.");
        const Model &model = *handle->shared;
        *info = {};
        info->task = model.info.task.c_str();
        info->tier = model.info.tier.c_str();
        info->precision = model.info.precision.c_str();
        info->engine = model.engine_name.c_str();
        info->channels = model.info.channels();
        info->takes_kernel = model.takes_kernel;
        info->guidance = model.info.guidance.c_str();
        info->unit = model.info.unit.c_str();
        info->minimum = model.info.minimum;
        info->maximum = model.info.maximum;
        info->smoothing = model.info.smoothing;
    });
}
