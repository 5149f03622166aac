// hyperguide for C++17: the C interface with owners and exceptions. See hyperguide.h.
//
//     hg::Model model("denoise-live.onnx");  // throws hg::Error, as all functions
//     hg::Session session(model);
//     while (next(frame))
//         session.run(frame, frame);
#pragma once

#include <memory>
#include <stdexcept>
#include <string>

#include "hyperguide.h"

namespace hg {

// What hg_last_error() says, with the status.
class Error : public std::runtime_error {
  public:
    explicit Error(hg_status status) : std::runtime_error(hg_last_error()), status(status) {}
    hg_status status;
};

inline void check(hg_status status) {
    if (status != HG_OK)
        throw Error(status);
}

// A loaded model. Copies share it; sessions keep it alive.
class Model {
  public:
    explicit Model(const std::string &path, const hg_model_options &options = {})
        : handle_(hg_model_open(path.c_str(), &options), hg_model_destroy) {
        require();
    }
    Model(const void *data, std::size_t size, const hg_model_options &options = {})
        : handle_(hg_model_from_memory(data, size, &options), hg_model_destroy) {
        require();
    }

    // Its strings live as long as this object or a session of it.
    hg_model_info info() const {
        hg_model_info found{};
        check(hg_model_get_info(handle_.get(), &found));
        return found;
    }

    hg_model *get() const { return handle_.get(); }

  private:
    void require() const {
        if (!handle_)
            throw Error(hg_last_status());
    }

    std::shared_ptr<hg_model> handle_;
};

// One stream of frames, for one thread at a time.
class Session {
  public:
    explicit Session(const Model &model, const hg_session_options &options = {})
        : handle_(hg_session_create(model.get(), &options), hg_session_destroy) {
        if (!handle_)
            throw Error(hg_last_status());
    }

    // guidance: a map to use instead of the predicted one. map: receives the one that was used.
    void run(const hg_picture &in, const hg_picture &out, const hg_map *guidance = nullptr,
             const hg_map *map = nullptr) {
        check(hg_session_run(handle_.get(), &in, guidance, &out, map));
    }

    // These may be called from any thread.
    void set_strength(float value) { check(hg_session_set_strength(handle_.get(), value)); }
    void set_guidance_scale(float value) {
        check(hg_session_set_guidance_scale(handle_.get(), value));
    }
    void set_smoothing(float weight) { check(hg_session_set_smoothing(handle_.get(), weight)); }
    void cancel() { hg_session_cancel(handle_.get()); }

    void set_kernel(const float *values, std::int32_t rows, std::int32_t columns) {
        check(hg_session_set_kernel(handle_.get(), values, rows, columns));
    }
    void reset() { check(hg_session_reset(handle_.get())); }

    hg_session *get() const { return handle_.get(); }

  private:
    std::unique_ptr<hg_session, void (*)(hg_session *)> handle_;
};

}  // namespace hg
