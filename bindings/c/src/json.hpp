// JSON values of a model file's metadata.
#pragma once

#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace hyperguide {

struct JsonError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// A value; numbers are doubles, since the entries that are read need no more.
struct Json {
    enum class Kind { null, boolean, number, text, list, object };
    Kind kind = Kind::null;
    bool boolean = false;
    double number = 0;
    std::string text;
    std::vector<Json> list;
    std::map<std::string, Json> object;

    // Throws JsonError for anything but one value, nested at most 64 times.
    static Json parse(std::string_view text);
    // The text as a JSON string in ASCII, with quotes, as Python's json.dumps writes it.
    static std::string quoted(std::string_view utf8);
};

}  // namespace hyperguide
