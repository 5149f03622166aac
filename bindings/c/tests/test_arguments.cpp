// The interface without an engine: NULL handles, and what is asked for but is not there.
#include <cstring>

#include "check.hpp"
#include "hyperguide.hpp"

namespace {

bool says(const char *part) { return std::strstr(hg_last_error(), part) != nullptr; }

std::string bundled(const char *file) {
    const char *folder = std::getenv("HYPERGUIDE_MODELS");
    return std::string(folder ? folder : ".") + "/" + file;
}

void null_handles_are_refused_or_ignored() {
    hg_picture picture{};
    hg_model_info info{};
    CHECK(hg_session_run(nullptr, &picture, nullptr, &picture, nullptr) == HG_BAD_ARGUMENT);
    CHECK(says("session is NULL"));
    CHECK(hg_session_set_strength(nullptr, 1) == HG_BAD_ARGUMENT);
    CHECK(hg_session_set_guidance_scale(nullptr, 1) == HG_BAD_ARGUMENT);
    CHECK(hg_session_set_smoothing(nullptr, 0.5f) == HG_BAD_ARGUMENT);
    CHECK(hg_session_set_kernel(nullptr, nullptr, 0, 0) == HG_BAD_ARGUMENT);
    CHECK(hg_session_reset(nullptr) == HG_BAD_ARGUMENT);
    CHECK(hg_model_get_info(nullptr, &info) == HG_BAD_ARGUMENT);
    CHECK(hg_session_create(nullptr, nullptr) == nullptr && says("model is NULL"));
    hg_session_cancel(nullptr);
    hg_session_destroy(nullptr);
    hg_model_destroy(nullptr);
}

void models_that_cannot_be_loaded_are_null_with_a_reason() {
    CHECK(!hg_model_open(nullptr, nullptr) && says("no path"));
    CHECK(!hg_model_open("", nullptr) && says("no path"));
    CHECK(!hg_model_open("/nowhere.onnx", nullptr) && says("cannot be read"));
    CHECK(!hg_model_from_memory(nullptr, 10, nullptr) && says("no data"));
    CHECK(!hg_model_from_memory("GIF89a", 6, nullptr) && says("damaged"));
}

void devices_and_threads_that_there_are_not_are_refused() {
    const std::string path = bundled("denoise-gray-fast.onnx");
    for (const char *device : {"gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:9999", "cpu:1", "openvino:0"}) {
        hg_model_options options{};
        options.device = device;
        CHECK(!hg_model_open(path.c_str(), &options) && says("unknown"));
    }
    hg_model_options options{};
    options.threads = -1;
    CHECK(!hg_model_open(path.c_str(), &options) && says("threads"));
}

void a_library_that_is_none_is_refused() {
    const std::string path = bundled("denoise-gray-fast.onnx");
    for (const char *device : {"cpu", "openvino", "auto"})
        for (const char *library : {"/nowhere/libonnxruntime.so", "/etc/hostname", "libc.so.6"}) {
            hg_model_options options{};
            options.device = device;
            options.library = library;
            CHECK(!hg_model_open(path.c_str(), &options));
            CHECK(std::strlen(hg_last_error()) > 20);
        }
}

void loading_can_be_cancelled() {
    hg_model_options options{};
    options.progress = [](float share, void *user) {
        *static_cast<float *>(user) = share;
        return int(share > 0);
    };
    float last = -1;
    options.user = &last;
    CHECK(!hg_model_open(bundled("denoise-gray-fast.onnx").c_str(), &options));
    CHECK(says("cancelled") && last > 0 && last < 1);
}

void errors_belong_to_their_thread_and_versions_are_told() {
    CHECK(hg_abi_version() == HG_ABI_VERSION);
    CHECK(std::strchr(hg_version(), '.'));
    CHECK(hg_last_error() != nullptr);
}

void the_cpp_header_throws_what_the_library_says() {
    try {
        hg::Model model("/nowhere.onnx");
        CHECK(false);
    } catch (const std::runtime_error &error) {
        CHECK(std::strstr(error.what(), "cannot be read"));
    }
}

}  // namespace

int main() {
    null_handles_are_refused_or_ignored();
    models_that_cannot_be_loaded_are_null_with_a_reason();
    devices_and_threads_that_there_are_not_are_refused();
    a_library_that_is_none_is_refused();
    loading_can_be_cancelled();
    errors_belong_to_their_thread_and_versions_are_told();
    the_cpp_header_throws_what_the_library_says();
    return failures > 0;
}
