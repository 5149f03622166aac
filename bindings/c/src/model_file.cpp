#include "model_file.hpp"

#include <cmath>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <set>
#include <sys/stat.h>

#include "error.hpp"
#include "json.hpp"
#include "protobuf.hpp"
#include "sha256.hpp"
#include "text.hpp"

namespace hyperguide {

namespace {

constexpr char PREFIX[] = "hyperguide.", DIGEST[] = "hyperguide.sha256.";
constexpr char FORMAT[] = "1";  // version of the contract
constexpr std::size_t LARGEST_FILE = std::size_t(1) << 31;  // what protocol buffers can hold
constexpr std::size_t LARGEST_ENTRY = 1 << 16;  // of metadata that is parsed
constexpr double LARGEST_MULTIPLE = 256, LARGEST_NUMBER = 1e30;

#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
constexpr bool CHECKS_SEAL = false;  // fuzzing would not get past it
#else
constexpr bool CHECKS_SEAL = true;
#endif

constexpr char TOO_LARGE[] = "is too large for a model file: give an .onnx file of ours.";

[[noreturn]] void refuse(const std::string &where, const std::string &reason) {
    throw Error(HG_BAD_FILE, where + " " + reason);
}

void update(Sha256 &digest, const Field &field) {
    if (field.wire == Wire::varint) {
        digest.update(std::to_string(field.number) + "=" + std::to_string(field.value) + ";");
        return;
    }
    digest.update(std::to_string(field.number) + ":" + std::to_string(field.bytes.size()) + ";");
    digest.update(field.bytes);
}

// SHA-256 of weights, graph and metadata, as `hyperguide export` stores them.
std::map<std::string, std::string> digests(std::string_view content, const Outline &outline) {
    Sha256 weights, graph, metadata;
    Fields fields(content);
    for (Field field{}; fields.next(field);) {
        if (field.number == MODEL_GRAPH) {
            Fields parts(field.bytes);
            for (Field part{}; parts.next(part);)
                update(part.number == INITIALIZER ? weights : graph, part);
        } else if (field.number != MODEL_METADATA) {
            update(graph, field);
        }
    }
    // As json.dumps(sorted(entries)) in Python, without the digests themselves.
    std::string list;
    for (const auto &[key, text] : outline.metadata) {
        const bool is_digest = key == std::string(DIGEST) + "weights" ||
                               key == std::string(DIGEST) + "graph" ||
                               key == std::string(DIGEST) + "metadata";
        if (!is_digest)
            list += (list.empty() ? "[" : ", [") + Json::quoted(key) + ", " + Json::quoted(text) + "]";
    }
    metadata.update("[" + list + "]");
    return {{"weights", weights.digest()}, {"graph", graph.digest()}, {"metadata", metadata.digest()}};
}

// Reads the description; throws JsonError or out_of_range if something is missing or wrong.
class Description {
  public:
    explicit Description(const std::map<std::string, std::string> &metadata)
        : metadata_(metadata) {}

    const std::string &word(const char *key, const std::set<std::string> &known = {}) const {
        const auto place = metadata_.find(std::string(PREFIX) + key);
        if (place == metadata_.end())
            throw JsonError("there is no " + std::string(key));
        const std::string &text = place->second;
        const bool is_known = known.empty() ? is_word(text) : known.count(text) > 0;
        if (!is_known)
            throw JsonError("its " + std::string(key) + " is unknown");
        return text;
    }

    Json json(const char *key) const {
        const auto place = metadata_.find(std::string(PREFIX) + key);
        if (place == metadata_.end())
            throw JsonError("there is no " + std::string(key));
        if (place->second.size() > LARGEST_ENTRY)
            throw JsonError("its " + std::string(key) + " is too long");
        return Json::parse(place->second);
    }

    static const Json &member(const Json &object, const char *key, Json::Kind kind) {
        const auto place = object.object.find(key);
        if (place == object.object.end() || place->second.kind != kind)
            throw JsonError("guidance." + std::string(key) + " is missing or of another kind");
        return place->second;
    }

    static float number(const Json &object, const char *key) {
        const double number = member(object, key, Json::Kind::number).number;
        if (std::abs(number) > LARGEST_NUMBER)
            throw JsonError("guidance." + std::string(key) + " is too large");
        return float(number);
    }

  private:
    const std::map<std::string, std::string> &metadata_;
};

ModelInfo read_info(const std::map<std::string, std::string> &metadata) {
    const Description from(metadata);
    ModelInfo info;
    info.task = from.word("task", {"denoise", "deblur", "derain", "dehaze"});
    info.tier = from.word("tier");
    info.color = from.word("color", {"rgb", "gray"});
    info.context = from.word("context", {"local", "global"});
    info.precision = from.word("precision", {"fp32", "fp16", "int8"});
    info.io = from.word("io", {"float", "uint8"});
    const Json multiple = from.json("size_multiple");
    const double number = multiple.number;
    if (!(number >= 1 && number <= LARGEST_MULTIPLE && number == std::floor(number)))
        throw JsonError("its size_multiple is wrong");
    info.size_multiple = int(number);
    const Json guidance = from.json("guidance");
    using Kind = Json::Kind;
    info.guidance = Description::member(guidance, "name", Kind::text).text;
    info.unit = Description::member(guidance, "unit", Kind::text).text;
    if (!is_word(info.guidance) || !is_word(info.unit))
        throw JsonError("its guidance has no name or no unit");
    info.minimum = Description::number(guidance, "minimum");
    info.maximum = Description::number(guidance, "maximum");
    info.smoothing = Description::number(guidance, "smoothing");
    if (!(info.minimum < info.maximum && info.smoothing >= 0 && info.smoothing < 1))
        throw JsonError("the range of its guidance is wrong");
    return info;
}

void check_types(const Outline &outline, const std::string &where) {
    const std::map<std::string, Type> expected = {
        {name::IMAGE, Type::float32},  {name::ENHANCED, Type::float32},
        {name::GUIDANCE, Type::float32}, {name::GUIDANCE_IN, Type::float32},
        {name::MIX, Type::float32},    {name::SCALE, Type::float32},
        {name::STRENGTH, Type::float32}, {name::KERNEL, Type::float32}};
    std::set<std::string> present;
    for (const auto *values : {&outline.inputs, &outline.outputs})
        for (const Value &value : *values) {
            present.insert(value.name);
            const auto place = expected.find(value.name);
            if (place == expected.end() || place->second != value.type)
                refuse(where, "has an input or output that no export writes, '" + shown(value.name) +
                                  "': export or download it again.");
        }
    for (const char *needed : {name::IMAGE, name::ENHANCED, name::GUIDANCE, name::GUIDANCE_IN,
                               name::MIX, name::SCALE, name::STRENGTH})
        if (!present.count(needed))
            refuse(where, std::string("lacks '") + needed + "': export it again.");
}

}  // namespace

ModelFile::ModelFile(std::string bytes, const std::string &where) : content(std::move(bytes)) {
    if (content.size() > LARGEST_FILE)
        refuse(where, TOO_LARGE);
    Outline outline;
    try {
        outline = read_outline(content);
    } catch (const Malformed &error) {
        refuse(where, std::string("is no model file or is damaged (") + error.what() +
                          "): export or download it again.");
    }
    const auto format = outline.metadata.find(std::string(PREFIX) + "format");
    if (format == outline.metadata.end())
        refuse(where, "is an ONNX file but not one of ours: make one with 'hyperguide export'.");
    if (format->second != FORMAT)
        refuse(where, "has another format than this library reads: install the version of "
                      "hyperguide that exported it.");
    for (const auto &[part, digest] : digests(content, outline)) {
        const auto stored = outline.metadata.find(DIGEST + part);
        if (CHECKS_SEAL && (stored == outline.metadata.end() || stored->second != digest))
            refuse(where, "was changed since its export (its " + part +
                              "): export or download it again.");
    }
    try {
        info = read_info(outline.metadata);
    } catch (const JsonError &error) {
        refuse(where, std::string("has damaged metadata (") + error.what() +
                          "): export or download it again.");
    }
    if (info.io != "float")
        refuse(where, "takes bytes: use a file exported with --io float.");
    check_types(outline, where);
    const std::set<std::string_view> stored(outline.tensors.begin(), outline.tensors.end());
    for (const Value &input : outline.inputs) {
        takes_kernel |= input.name == name::KERNEL;
        for (const char *dial : {name::GUIDANCE_IN, name::MIX, name::SCALE, name::STRENGTH,
                                 name::KERNEL})
            if (input.name == dial && !stored.count(dial))
                required.push_back(dial);
    }
}

std::string ModelFile::with_inputs() const {
    const std::set<std::string_view> dials = {name::GUIDANCE_IN, name::MIX, name::SCALE,
                                              name::STRENGTH, name::KERNEL};
    const auto is_default = [&dials](const Field &part) {
        if (part.number != INITIALIZER)
            return false;
        Fields fields(part.bytes);
        for (Field field{}; fields.next(field);)
            if (field.number == TENSOR_NAME)
                return dials.count(field.bytes) > 0;
        return false;
    };
    std::string out;
    Fields fields(content);
    for (Field field{}; fields.next(field);) {
        if (field.number != MODEL_GRAPH) {
            out += field.whole;
            continue;
        }
        std::string graph;
        Fields parts(field.bytes);
        for (Field part{}; parts.next(part);)
            if (!is_default(part))
                graph += part.whole;
        out += submessage(MODEL_GRAPH, graph);
    }
    return out;
}

std::string read_file(const char *path) {
    struct Close {
        void operator()(std::FILE *file) const { std::fclose(file); }
    };
    struct stat status {};
    // Opening a pipe would block.
    if (stat(path, &status) != 0)
        refuse(path, std::string("cannot be read: ") + std::strerror(errno) + ".");
    if (!S_ISREG(status.st_mode))
        refuse(path, "is not a file: give the path of an .onnx file.");
    const std::unique_ptr<std::FILE, Close> file(std::fopen(path, "rb"));
    if (!file)
        refuse(path, std::string("cannot be read: ") + std::strerror(errno) + ".");
    std::string bytes;
    char part[1 << 16];
    for (std::size_t count; (count = std::fread(part, 1, sizeof part, file.get())) > 0;) {
        if (bytes.size() + count > LARGEST_FILE)
            refuse(path, TOO_LARGE);
        bytes.append(part, count);
    }
    if (std::ferror(file.get()))
        refuse(path, std::string("cannot be read: ") + std::strerror(errno) + ".");
    return bytes;
}

}  // namespace hyperguide
