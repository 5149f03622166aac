// Sessions over an engine whose results can be foreseen: threads, cancelling, and its failures.
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "check.hpp"
#include "hyperguide.hpp"

namespace {

constexpr int WIDTH = 60, HEIGHT = 44;

std::string bundled(const char *file) {
    const char *folder = std::getenv("HYPERGUIDE_MODELS");
    return std::string(folder ? folder : ".") + "/" + file;
}

hg::Model fake_model(const char *file = "denoise-fast.onnx") {
    hg_model_options options{};
    options.device = "cpu";
    options.library = std::getenv("HYPERGUIDE_FAKE");
    return hg::Model(bundled(file), options);
}

// Pixels and the picture that shows them.
struct Frame {
    explicit Frame(unsigned char value) : bytes(std::size_t(WIDTH) * HEIGHT * 3, value) {
        bytes[1] = 200;  // not gray
        picture.format = HG_RGB24;
        picture.width = WIDTH, picture.height = HEIGHT;
        picture.planes[0] = bytes.data();
    }
    std::vector<unsigned char> bytes;
    hg_picture picture{};
};

hg_status status_of(hg_session *session, Frame &frame) {
    return hg_session_run(session, &frame.picture, nullptr, &frame.picture, nullptr);
}

void pictures_and_maps_come_from_the_engine() {
    const hg::Model model = fake_model();
    hg_session_options single{};
    single.no_temporal = 1;
    hg::Session session(model, single);
    session.set_smoothing(0);
    Frame in(100), out(0);
    std::vector<float> values(std::size_t(WIDTH) * HEIGHT);
    const hg_map map{values.data(), WIDTH, HEIGHT, 0};
    session.run(in.picture, out.picture, nullptr, &map);
    CHECK(out.bytes[3000] == 98);  // 100 (1 - 0.05 / 2), rounded
    CHECK(values[0] == 0.05f && values.back() == 0.05f);
    std::vector<float> told(values.size(), 0.2f);
    const hg_map given{told.data(), WIDTH, HEIGHT, 0};
    session.run(in.picture, out.picture, &given, &map);
    CHECK(out.bytes[3000] == 90 && values[7] == 0.2f);
    session.set_strength(0);
    session.run(in.picture, out.picture);
    CHECK(out.bytes == in.bytes);
}

// The pixels of the last of some frames of a stream.
std::vector<unsigned char> last_of_stream(const hg::Model &model, int brightness) {
    hg::Session session(model);
    Frame frame(0);
    for (int i = 0; i < 12; i++) {
        frame = Frame(static_cast<unsigned char>(brightness + i % 3));
        frame.picture.planes[0] = frame.bytes.data();
        session.run(frame.picture, frame.picture);
    }
    return frame.bytes;
}

void four_sessions_in_four_threads_do_not_disturb_each_other() {
    const hg::Model model = fake_model();
    std::vector<std::thread> threads;
    std::vector<std::vector<unsigned char>> found(4);
    for (int t = 0; t < 4; t++)
        threads.emplace_back([&, t] { found[t] = last_of_stream(model, 40 * t + 50); });
    for (std::thread &thread : threads)
        thread.join();
    for (int t = 0; t < 4; t++)
        CHECK(found[t] == last_of_stream(model, 40 * t + 50));
}

void one_session_in_two_threads_is_an_error() {
    setenv("FAKE", "slow", 1);
    const hg::Model model = fake_model();
    hg::Session session(model);
    std::atomic<hg_status> first{HG_OK};
    std::atomic<bool> is_done{false};
    std::thread thread([&] {
        Frame frame(100);
        do  // the other thread may be the first
            first = status_of(session.get(), frame);
        while (first == HG_BUSY);
        is_done = true;
    });
    Frame frame(100);
    hg_status second = HG_OK;
    // Whichever comes second is refused; the other one lasts until it is cancelled.
    while (second != HG_BUSY && !is_done)
        second = hg_session_reset(session.get());
    CHECK(second == HG_BUSY);
    while (!is_done) {
        session.cancel();
        std::this_thread::yield();
    }
    thread.join();
    CHECK(first == HG_CANCELLED);
    unsetenv("FAKE");
    CHECK(status_of(session.get(), frame) == HG_OK);  // the cancel does not reach the next call
}

// A cancel that is lost makes this test last for minutes.
void a_cancel_reaches_a_call_whose_network_does_not_run_yet() {
    setenv("FAKE", "late", 1);
    const hg::Model model = fake_model();
    hg::Session session(model);
    constexpr int SIDE = 3000;  // takes long to read
    std::vector<unsigned char> bytes(std::size_t(SIDE) * SIDE * 3, 7);
    hg_picture picture{};
    picture.format = HG_RGB24, picture.width = SIDE, picture.height = SIDE;
    picture.planes[0] = bytes.data();
    hg_status status = HG_OK;
    std::thread thread([&] {
        do  // while the other thread looks whether this one has begun
            status = hg_session_run(session.get(), &picture, nullptr, &picture, nullptr);
        while (status == HG_BUSY);
    });
    while (hg_session_reset(session.get()) != HG_BUSY)
        std::this_thread::yield();
    session.cancel();
    thread.join();
    CHECK(status == HG_CANCELLED);
    unsetenv("FAKE");
}

void numbers_can_be_set_while_a_call_runs() {
    setenv("FAKE", "slow", 1);
    const hg::Model model = fake_model();
    hg::Session session(model);
    Frame frame(100);
    std::thread thread([&] {
        while (status_of(session.get(), frame) == HG_BUSY) {
        }
    });
    while (hg_session_reset(session.get()) != HG_BUSY)
        std::this_thread::yield();
    session.set_strength(0), session.set_guidance_scale(2), session.set_smoothing(0.5f);
    CHECK(hg_session_set_strength(session.get(), -1) == HG_BAD_ARGUMENT);
    session.cancel();
    thread.join();
    const std::vector<unsigned char> before = frame.bytes;
    session.run(frame.picture, frame.picture);  // at strength 0 no engine, which is slow, runs
    CHECK(frame.bytes == before);
    unsetenv("FAKE");
}

void a_map_of_nan_is_not_remembered() {
    const hg::Model model = fake_model();
    hg_session_options single{};
    single.no_temporal = 1;
    hg::Session session(model, single);
    session.set_smoothing(0.8f);
    Frame frame(100);
    CHECK(status_of(session.get(), frame) == HG_OK);
    setenv("FAKE", "nan-map", 1);
    CHECK(status_of(session.get(), frame) == HG_FAILED);
    unsetenv("FAKE");
    CHECK(status_of(session.get(), frame) == HG_OK);
}

void no_kernel_can_be_set_for_any_model() {
    hg::Session session(fake_model());
    session.set_kernel(nullptr, 0, 0);
    const float one = 1;
    CHECK(hg_session_set_kernel(session.get(), &one, 1, 1) == HG_BAD_ARGUMENT);
}

void a_cancel_without_a_call_does_nothing() {
    const hg::Model model = fake_model();
    hg::Session session(model);
    session.cancel();
    Frame frame(100);
    CHECK(status_of(session.get(), frame) == HG_OK);
}

void models_and_sessions_are_destroyed_in_any_order() {
    hg_model_options options{};
    options.device = "cpu";
    options.library = std::getenv("HYPERGUIDE_FAKE");
    hg_model *model = hg_model_open(bundled("denoise-fast.onnx").c_str(), &options);
    hg_session *one = hg_session_create(model, nullptr), *two = hg_session_create(model, nullptr);
    hg_session_destroy(one);
    hg_model_destroy(model);
    Frame frame(100);
    CHECK(status_of(two, frame) == HG_OK);
    hg_session_destroy(two);
}

void failures_of_the_engine_are_one_sentence() {
    const auto reason = [](const char *how) {
        setenv("FAKE", how, 1);
        std::string said;
        try {
            const hg::Model model = fake_model();
            hg::Session session(model);
            Frame frame(100);
            session.run(frame.picture, frame.picture);
        } catch (const std::runtime_error &error) {
            said = error.what();
        }
        unsetenv("FAKE");
        CHECK(said.find('\n') == std::string::npos);
        return said;
    };
    CHECK(reason("old").find("too old") != std::string::npos);
    CHECK(reason("reject").find("the model is strange") != std::string::npos);
    CHECK(reason("memory").find("bad_alloc") != std::string::npos);
    CHECK(reason("nan").find("NaN") != std::string::npos);
}

void a_failed_call_leaves_the_picture_as_it_was() {
    const hg::Model model = fake_model();
    hg::Session session(model);
    for (const char *how : {"memory", "nan"}) {
        setenv("FAKE", how, 1);
        Frame frame(100);
        const std::vector<unsigned char> before = frame.bytes;
        const hg_status status = status_of(session.get(), frame);
        CHECK(status == (std::strcmp(how, "memory") == 0 ? HG_OUT_OF_MEMORY : HG_FAILED));
        CHECK(frame.bytes == before);
        unsetenv("FAKE");
        CHECK(status_of(session.get(), frame) == HG_OK);
    }
}

}  // namespace

int main() {
    pictures_and_maps_come_from_the_engine();
    four_sessions_in_four_threads_do_not_disturb_each_other();
    one_session_in_two_threads_is_an_error();
    a_cancel_reaches_a_call_whose_network_does_not_run_yet();
    numbers_can_be_set_while_a_call_runs();
    a_map_of_nan_is_not_remembered();
    no_kernel_can_be_set_for_any_model();
    a_cancel_without_a_call_does_nothing();
    models_and_sessions_are_destroyed_in_any_order();
    failures_of_the_engine_are_one_sentence();
    a_failed_call_leaves_the_picture_as_it_was();
    return failures > 0;
}
