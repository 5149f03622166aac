// The part of the interface that is about sessions: checks handles, and that one thread uses them.
#include <atomic>
#include <cmath>

#include "error.hpp"
#include "session.hpp"

struct hg_session {
    hg_session(std::shared_ptr<const hyperguide::Model> model, const hg_session_options &options)
        : session(std::move(model), options) {}

    hyperguide::Session session;
    std::atomic<bool> is_busy{false};
};

using namespace hyperguide;

namespace {

// Runs an action on a session that no other thread uses.
template <typename Action> hg_status on_session(hg_session *handle, Action action) {
    if (!handle)
        return report(HG_BAD_ARGUMENT, "The session is NULL.");
    if (handle->is_busy.exchange(true, std::memory_order_acquire))
        return report(HG_BUSY, "The session is in use by another thread: give each its own session.");
    const hg_status status = guarded([&] { action(handle->session); });
    handle->is_busy.store(false, std::memory_order_release);
    return status;
}

void check_dial(const char *name, float value, float below) {
    if (!(value >= 0 && value < below))
        throw Error(HG_BAD_ARGUMENT, std::string("The ") + name + " must be at least 0" +
                                         (std::isinf(below) ? "" : " and below 1") + ", not " +
                                         std::to_string(value) + ".");
}

}  // namespace

hg_session *hg_session_create(hg_model *model, const hg_session_options *options) {
    hg_session *handle = nullptr;
    guarded([&] {
        if (!model)
            throw Error(HG_BAD_ARGUMENT, "The model is NULL.");
        handle = new hg_session(model->shared, options ? *options : hg_session_options{});
    });
    return handle;
}

void hg_session_destroy(hg_session *session) { delete session; }

hg_status hg_session_run(hg_session *handle, const hg_picture *in, const hg_map *guidance,
                         const hg_picture *out, const hg_map *guidance_out) {
    return on_session(handle, [&](Session &session) { session.run(in, guidance, out, guidance_out); });
}

hg_status hg_session_set_strength(hg_session *handle, float strength) {
    return on_session(handle, [&](Session &session) {
        check_dial("strength", strength, HUGE_VALF);
        session.strength = strength;
    });
}

hg_status hg_session_set_guidance_scale(hg_session *handle, float scale) {
    return on_session(handle, [&](Session &session) {
        check_dial("guidance scale", scale, HUGE_VALF);
        session.guidance_scale = scale;
    });
}

hg_status hg_session_set_smoothing(hg_session *handle, float weight) {
    return on_session(handle, [&](Session &session) {
        check_dial("smoothing", weight, 1);
        session.smoothing = weight;
    });
}

hg_status hg_session_set_kernel(hg_session *handle, const float *values, int32_t rows,
                                int32_t columns) {
    return on_session(handle,
                      [&](Session &session) { session.set_kernel(values, rows, columns); });
}

hg_status hg_session_reset(hg_session *handle) {
    return on_session(handle, [](Session &session) { session.reset(); });
}

void hg_session_cancel(hg_session *handle) {
    if (handle)
        guarded([&] { handle->session.cancel(); });
}
