#include "openvino_api.hpp"

#include <type_traits>

#include "engine.hpp"

namespace hyperguide::openvino {

namespace {
const LibraryName NAME = {"OpenVINO", "HYPERGUIDE_OPENVINO", "openvino/libs/libopenvino_c.so.*",
                           "libopenvino_c.so*"};
}  // namespace

bool is_found() { return hyperguide::is_found(NAME); }

Api::Api(const std::string &path) : library_(NAME, path) {
    const auto fill = [this](auto &function, const char *symbol) {
        function = load<std::remove_pointer_t<std::remove_reference_t<decltype(function)>>>(symbol);
    };
    fill(create_core, "ov_core_create");
    fill(free_core, "ov_core_free");
    fill(read_model, "ov_core_read_model_from_memory_buffer");
    fill(free_model, "ov_model_free");
    fill(reshape, "ov_model_reshape");
    fill(compile, "ov_core_compile_model");
    fill(free_compiled, "ov_compiled_model_free");
    fill(create_request, "ov_compiled_model_create_infer_request");
    fill(free_request, "ov_infer_request_free");
    fill(set_tensor, "ov_infer_request_set_tensor");
    fill(get_tensor, "ov_infer_request_get_tensor");
    fill(start, "ov_infer_request_start_async");
    fill(wait, "ov_infer_request_wait");
    fill(cancel, "ov_infer_request_cancel");
    fill(create_tensor, "ov_tensor_create_from_host_ptr");
    fill(free_tensor, "ov_tensor_free");
    fill(tensor_bytes, "ov_tensor_get_byte_size");
    fill(tensor_data, "ov_tensor_data");

    Version version{};
    if (load<Status(Version *)>("ov_get_openvino_version")(&version) == 0 && version.number) {
        version_ = version.number;
        version_ = version_.substr(0, version_.find('-'));
        load<void(Version *)>("ov_version_free")(&version);
    }
    // The enumeration of types lost a member in 2024, and all later ones moved.
    for (const int number : {4, 5}) {
        float values[3] = {};
        std::int64_t sides[] = {3};
        Tensor *tensor = nullptr;
        std::size_t bytes = 0;
        if (create_tensor(number, {1, sides}, values, &tensor) == 0) {
            tensor_bytes(tensor, &bytes);
            free_tensor(tensor);
        }
        if (bytes == sizeof values) {
            float32_ = number;
            return;
        }
    }
    throw Error(HG_NO_BACKEND, "OpenVINO " + version_ + " in " + library_.path() +
                                   " has another interface: install 2023.2 or newer.");
}

void Api::check(Status status, hg_status kind, const std::string &sentence) const {
    if (status == 0)
        return;
    if (status == CANCELLED)
        throw Error(HG_CANCELLED, "The call was cancelled.");
    const char *told = load<const char *()>("ov_get_last_err_msg")();  // a copy, to be freed
    std::string reason = told ? told : "no reason was given";
    load<void(const char *)>("ov_free")(told);
    while (!reason.empty() && reason.back() == '\n')
        reason.pop_back();
    throw engine_failure(kind, sentence, reason.substr(reason.rfind('\n') + 1));
}

}  // namespace hyperguide::openvino
