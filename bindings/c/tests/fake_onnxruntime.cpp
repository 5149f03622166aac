// A library with ONNX Runtime's interface for tests: what it returns can be foreseen, and it fails
// when told to. The environment variable FAKE says how.
//
//     old        a version before the one that is needed
//     reject     no session is made, for a reason of two lines
//     memory     calls run out of memory
//     slow       calls last until they are terminated
//     late       the same, and what terminated them before they began does not count
//     nan        pictures are NaN
//     nan-map    maps are NaN
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

namespace {

struct Status {
    std::string message;
};
struct Tensor {
    float *values;
    std::int64_t shape[4];
    std::size_t size() const { return std::size_t(shape[0] * shape[1] * shape[2] * shape[3]); }
};
struct RunOptions {
    std::atomic<bool> is_terminated{false};
};
struct Nothing {};

std::string told() {
    const char *text = std::getenv("FAKE");
    return text ? text : "";
}

Status *failure(const char *message) { return new Status{message}; }

const char *error_message(const Status *status) { return status->message.c_str(); }

template <typename Handle> Status *create(Handle **out) {
    *out = new Handle;
    return nullptr;
}
template <typename Handle> void release(Handle *handle) { delete handle; }

Status *create_environment(int, const char *, Nothing **out) { return create(out); }
Status *create_session(const Nothing *, const void *bytes, std::size_t size, const Nothing *,
                       Nothing **out) {
    if (!bytes || size < 1000)
        return failure("no model");
    return told() == "reject" ? failure("the model is strange\nat this place") : create(out);
}
Status *set_number(Nothing *, int) { return nullptr; }
Status *terminate(RunOptions *options) {
    options->is_terminated = true;
    return nullptr;
}
Status *unset_terminate(RunOptions *options) {
    options->is_terminated = false;
    return nullptr;
}
Status *create_memory(int, int, Nothing **out) { return create(out); }
Status *create_tensor(const Nothing *, void *data, std::size_t bytes, const std::int64_t *shape,
                      std::size_t rank, int type, Tensor **out) {
    if (rank != 4 || type != 1)
        return failure("another tensor than floats of rank 4");
    *out = new Tensor{static_cast<float *>(data), {shape[0], shape[1], shape[2], shape[3]}};
    return (*out)->size() * sizeof(float) == bytes ? nullptr : failure("sizes differ");
}

const Tensor *input(const char *name, const char *const *names, const Tensor *const *inputs,
                    std::size_t count) {
    for (std::size_t i = 0; i < count; i++)
        if (std::strcmp(names[i], name) == 0)
            return inputs[i];
    return nullptr;
}

// The map is 0.05, mixed with a given one; the picture comes back darker by half of it.
Status *run(Nothing *, RunOptions *options, const char *const *names,
            const Tensor *const *inputs, std::size_t count, const char *const *outputs,
            std::size_t output_count, Tensor **results) {
    if (told() == "memory")
        return failure("std::bad_alloc");
    if (told() == "late")
        options->is_terminated = false;
    const bool is_slow = told() == "slow" || told() == "late";
    for (int i = 0; is_slow && !options->is_terminated && i < 100000; i++)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (options->is_terminated)
        return failure("terminated");
    const Tensor *image = input("image", names, inputs, count);
    const Tensor *given = input("guidance_in", names, inputs, count);
    const Tensor *mix = input("guidance_mix", names, inputs, count);
    if (!image || output_count != 2 || std::strcmp(outputs[0], "enhanced") != 0 ||
        std::strcmp(outputs[1], "guidance") != 0)
        return failure("other inputs and outputs than expected");
    const std::size_t pixels = results[1]->size();
    const auto at = [](const Tensor *map, std::size_t i, float without) {
        return map ? map->values[map->size() == 1 ? 0 : i] : without;
    };
    for (std::size_t i = 0; i < pixels; i++) {
        const float share = at(mix, i, 0);
        results[1]->values[i] = share * at(given, i, 0) + (1 - share) * 0.05f;
        if (told() == "nan-map")
            results[1]->values[i] = NAN;
    }
    const bool is_nan = told() == "nan";
    for (std::size_t i = 0; i < image->size(); i++)
        results[0]->values[i] =
            is_nan ? NAN : image->values[i] * (1 - 0.5f * results[1]->values[i % pixels]);
    return nullptr;
}

void absent() { std::abort(); }

const void *const *api(std::uint32_t version) {
    static const void *table[300];
    if (version > 16)
        return nullptr;
    const auto set = [](int slot, auto *function) {
        table[slot] = reinterpret_cast<const void *>(function);
    };
    for (int slot = 0; slot < 300; slot++)
        set(slot, absent);
    set(2, error_message);
    set(3, create_environment);
    set(8, create_session);
    set(9, run);
    set(10, create<Nothing>);
    set(22, set_number);
    set(24, set_number);
    set(39, create<RunOptions>);
    set(46, terminate);
    set(47, unset_terminate);
    set(49, create_tensor);
    set(69, create_memory);
    for (const int slot : {92, 94, 95, 100})
        set(slot, release<Nothing>);
    set(93, release<Status>);
    set(96, release<Tensor>);
    set(97, release<RunOptions>);
    return table;
}

const char *version() { return told() == "old" ? "1.9.0" : "1.20.0"; }

struct Base {
    const void *const *(*get_api)(std::uint32_t);
    const char *(*get_version)();
};

}  // namespace

extern "C" __attribute__((visibility("default"))) const Base *OrtGetApiBase() {
    static const Base base{api, version};
    return &base;
}
