// The interface without an engine: NULL handles, and what is asked for but is not there.
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fstream>
#include <gnu/libc-version.h>
#include <map>
#include <thread>
#include <unistd.h>
#include <vector>

#include "check.hpp"
#include "hyperguide.hpp"

namespace {

bool says(const char *part) { return std::strstr(hg_last_error(), part) != nullptr; }

std::string bundled(const char *file) {
    const char *folder = std::getenv("HYPERGUIDE_MODELS");
    return std::string(folder ? folder : ".") + "/" + file;
}

void null_handles_are_refused_or_ignored() {
    CHECK(hg_last_status() == HG_OK && std::strlen(hg_last_error()) == 0);
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
    CHECK(hg_last_status() == HG_BAD_ARGUMENT);
    CHECK(!hg_model_open("", nullptr) && says("no path"));
    CHECK(!hg_model_open("/nowhere.onnx", nullptr) && says("cannot be read"));
    CHECK(hg_last_status() == HG_BAD_FILE);
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

// The path of the C library: one that is there and is no engine.
std::string libc() {
    Dl_info found{};
    dladdr(reinterpret_cast<void *>(&gnu_get_libc_version), &found);  // no sanitizer replaces it
    return found.dli_fname;
}

void auto_falls_back_to_the_next_engine_and_says_so() {
    setenv("HYPERGUIDE_OPENVINO", "/nowhere/libopenvino_c.so", 1);
    setenv("HYPERGUIDE_ONNXRUNTIME", std::getenv("HYPERGUIDE_FAKE"), 1);
    std::vector<std::pair<hg_log_level, std::string>> messages;
    hg_model_options options{};
    options.log = [](hg_log_level level, const char *message, void *user) {
        static_cast<decltype(messages) *>(user)->emplace_back(level, message);
    };
    options.user = &messages;
    const hg::Model model(bundled("denoise-gray-fast.onnx"), options);
    CHECK(std::strstr(model.info().engine, "ONNX Runtime"));
    CHECK(messages.size() == 2);
    CHECK(messages[0].first == HG_LOG_WARNING &&
          messages[0].second.find("/nowhere/libopenvino_c.so") != std::string::npos);
    CHECK(messages[1].first == HG_LOG_INFO && messages[1].second.find("runs on") != std::string::npos);
    unsetenv("HYPERGUIDE_OPENVINO");
    unsetenv("HYPERGUIDE_ONNXRUNTIME");
}

void the_newest_library_of_a_folder_is_taken() {
    char folder[] = "/tmp/hyperguide-XXXXXX";
    CHECK(mkdtemp(folder));
    const std::string files[] = {"libonnxruntime.so.1.9.0", "libonnxruntime.so.1.20.0",
                                 "libonnxruntime.so.1.20.0.sig"};
    for (const std::string &file : files)
        std::ofstream(folder + ("/" + file)) << "no library";
    std::string path = "LD_LIBRARY_PATH", before = std::getenv(path.c_str()) ? std::getenv(path.c_str()) : "";
    setenv(path.c_str(), folder, 1);
    unsetenv("VIRTUAL_ENV");
    unsetenv("CONDA_PREFIX");
    hg_model_options options{};
    options.device = "cpu";
    CHECK(!hg_model_open(bundled("denoise-gray-fast.onnx").c_str(), &options));
    CHECK(hg_last_status() == HG_NO_BACKEND && says("libonnxruntime.so.1.20.0: "));
    setenv(path.c_str(), before.c_str(), 1);
    for (const std::string &file : files)
        unlink((folder + ("/" + file)).c_str());
    rmdir(folder);
}

void a_library_that_is_none_is_refused() {
    const std::string path = bundled("denoise-gray-fast.onnx");
    for (const char *device : {"cpu", "openvino", "auto"})
        for (const auto &[library, reason] : std::map<std::string, const char *>{
                 {"/nowhere/libonnxruntime.so", "cannot be read"},
                 {"/etc/hostname", "cannot be loaded"},
                 {libc(), "is not the library of"}}) {
            hg_model_options options{};
            options.device = device;
            options.library = library.c_str();
            CHECK(!hg_model_open(path.c_str(), &options));
            CHECK(hg_last_status() == HG_NO_BACKEND && says(reason));
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

void errors_belong_to_their_thread() {
    CHECK(!hg_model_open("/nowhere.onnx", nullptr));
    std::thread([] {
        CHECK(hg_last_status() == HG_OK && std::strlen(hg_last_error()) == 0);
        CHECK(hg_session_reset(nullptr) == HG_BAD_ARGUMENT && says("session is NULL"));
    }).join();
    CHECK(hg_last_status() == HG_BAD_FILE && says("/nowhere.onnx"));
}

void versions_are_told() {
    CHECK(hg_abi_version() == HG_ABI_VERSION);
    CHECK(std::strchr(hg_version(), '.'));
}

void the_cpp_header_throws_what_the_library_says() {
    try {
        hg::Model model("/nowhere.onnx");
        CHECK(false);
    } catch (const hg::Error &error) {
        CHECK(error.status == HG_BAD_FILE && std::strstr(error.what(), "cannot be read"));
    }
}

}  // namespace

int main() {
    null_handles_are_refused_or_ignored();
    models_that_cannot_be_loaded_are_null_with_a_reason();
    devices_and_threads_that_there_are_not_are_refused();
    a_library_that_is_none_is_refused();
    auto_falls_back_to_the_next_engine_and_says_so();
    the_newest_library_of_a_folder_is_taken();
    loading_can_be_cancelled();
    errors_belong_to_their_thread();
    versions_are_told();
    the_cpp_header_throws_what_the_library_says();
    return failures > 0;
}
