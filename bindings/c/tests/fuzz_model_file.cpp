// Fuzzing: any bytes as a model file. They are refused by an Error, or described.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "error.hpp"
#include "json.hpp"
#include "model_file.hpp"
#include "protobuf.hpp"

using namespace hyperguide;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    const std::string bytes(reinterpret_cast<const char *>(data), size);
    try {
        const ModelFile file(bytes, "The file");
        file.with_inputs();
    } catch (const Error &error) {
        const std::string sentence = error.what();
        const bool is_plain = std::all_of(sentence.begin(), sentence.end(),
                                          [](char c) { return c >= ' ' && c <= '~'; });
        if (error.status != HG_BAD_FILE || !is_plain || sentence.size() > 400)
            std::abort();
    }
    // What the seal keeps from being reached.
    try {
        read_outline(bytes);
    } catch (const Malformed &) {
    }
    try {
        Json::quoted(Json::parse(bytes).text);
    } catch (const JsonError &) {
    }
    return 0;
}
