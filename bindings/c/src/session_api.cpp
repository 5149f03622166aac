// The part of the interface that is about sessions: checks handles, and that one thread uses them.
#include <atomic>
#include <cmath>

#include "error.hpp"
#include "session.hpp"
#include "text.hpp"

struct hg_session {
    hg_session(std::shared_ptr<const hyperguide::Model> model, const hg_session_options &options)
        : session(std::move(model), options) {}

    hyperguide::Session session;
};

using namespace hyperguide;

namespace {

constexpr char NO_SESSION[] = "The session is NULL.";

// Runs an action on a session that no other thread uses.
template <typename Action> hg_status on_session(hg_session *handle, Action action) {
    if (!handle)
        return report(HG_BAD_ARGUMENT, NO_SESSION);
    return guarded([&] {
        const Session::Use use(handle->session);
        action(handle->session);
    });
}

// Sets a number of a session, which may be in use.
hg_status set(hg_session *handle, std::atomic<float> Session::*dial, const char *name, float value,
              float below) {
    if (!handle)
        return report(HG_BAD_ARGUMENT, NO_SESSION);
    return guarded([&] {
        if (!(value >= 0 && value < below))
            throw Error(HG_BAD_ARGUMENT, std::string("The ") + name + " must be a number of at least 0" +
                                             (std::isinf(below) ? "" : " and below 1") + ", not " +
                                             written(value) + ".");
        handle->session.*dial = value;
    });
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
    return set(handle, &Session::strength, "strength", strength, HUGE_VALF);
}

hg_status hg_session_set_guidance_scale(hg_session *handle, float scale) {
    return set(handle, &Session::guidance_scale, "guidance scale", scale, HUGE_VALF);
}

hg_status hg_session_set_smoothing(hg_session *handle, float weight) {
    return set(handle, &Session::smoothing, "smoothing", weight, 1);
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
