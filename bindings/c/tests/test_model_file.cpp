// Model files: digests, the seal, and bytes that somebody else wrote.
#include <clocale>
#include <cstdlib>
#include <glob.h>
#include <locale>

#include "check.hpp"
#include "error.hpp"
#include "json.hpp"
#include "model_file.hpp"
#include "protobuf.hpp"
#include "sha256.hpp"
#include "text.hpp"

using namespace hyperguide;

namespace {

std::string sha256(const std::string &text) {
    Sha256 digest;
    digest.update(text);
    return digest.digest();
}

std::string bundled(const char *file) {
    const char *folder = std::getenv("HYPERGUIDE_MODELS");
    return std::string(folder ? folder : ".") + "/" + file;
}

// Why a file is refused; empty if it is not.
std::string refusal(const std::string &bytes) {
    try {
        ModelFile(bytes, "The file");
        return "";
    } catch (const Error &error) {
        CHECK(error.status == HG_BAD_FILE);
        return error.what();
    }
}

bool json_is_refused(const std::string &text) {
    try {
        Json::parse(text);
        return false;
    } catch (const JsonError &) {
        return true;
    }
}

void sha256_gives_the_digests_of_the_standard() {
    // FIPS 180-4's examples, and lengths around a block.
    CHECK(sha256("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    CHECK(sha256(std::string(1000000, 'a')) ==
          "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    for (int length = 0; length < 200; length++) {
        const std::string text(length, 'x');
        Sha256 parts;
        for (const char letter : text)
            parts.update(std::string(1, letter));
        CHECK(parts.digest() == sha256(text));
    }
}

void json_is_read_and_written_as_python_does() {
    const Json value = Json::parse(R"( {"a": [1, -2.5e1, true, null], "b": "x\n\u00e9\ud83d\ude00"} )");
    CHECK(value.object.at("a").list.at(1).number == -25);
    CHECK(value.object.at("a").list.at(2).boolean);
    CHECK(value.object.at("b").text == "x\n\xc3\xa9\xf0\x9f\x98\x80");
    CHECK(Json::quoted("x\n\xc3\xa9\xf0\x9f\x98\x80\"\\\x7f") ==
          R"("x\n\u00e9\ud83d\ude00\"\\\u007f")");
    for (const char *wrong : {"", "{", "[1", "[1,]", "{\"a\":1,\"a\":2}", "nan", "1e999", "\"\\x\"",
                              "\"\\ud800\"", "1 2", "\"\n\"", "{1:2}"})
        CHECK(json_is_refused(wrong));
    CHECK(json_is_refused(std::string(100000, '[')));
}

void bundled_files_are_accepted_and_say_what_they_are() {
    const ModelFile file(read_file(bundled("denoise-fast.onnx").c_str()), "The file");
    CHECK(file.info.task == "denoise" && file.info.precision == "fp32");
    CHECK(file.info.guidance == "noise_level" && file.info.is_noise());
    CHECK(file.info.channels() == 3 && !file.takes_kernel);
    CHECK(file.info.padded(17) == 32 && file.info.padded(16) == 16);
    glob_t found{};
    CHECK(glob(bundled("*.onnx").c_str(), 0, nullptr, &found) == 0);
    for (std::size_t i = 0; i < found.gl_pathc; i++)
        CHECK(refusal(read_file(found.gl_pathv[i])).empty());
    CHECK(found.gl_pathc >= 10);
    globfree(&found);
}

void a_file_that_was_changed_anywhere_is_refused() {
    const std::string whole = read_file(bundled("denoise-gray-fast-int8.onnx").c_str());
    for (std::size_t place = 0; place < whole.size(); place += 1499) {
        std::string changed = whole;
        changed[place] = char(changed[place] ^ 0x20);
        CHECK(!refusal(changed).empty());
    }
}

void a_truncated_file_is_refused() {
    const std::string whole = read_file(bundled("denoise-gray-fast-int8.onnx").c_str());
    for (std::size_t length = 0; length < whole.size(); length += 1777)
        CHECK(!refusal(whole.substr(0, length)).empty());
}

void foreign_files_are_refused_with_a_reason() {
    CHECK(refusal("").find("no graph") != std::string::npos);
    CHECK(!refusal(std::string(1000, '\xff')).empty());
    CHECK(!refusal("GIF89a").empty());
    // A sound ONNX file without metadata: x -> Relu -> y.
    const auto value = [](const char *name) { return submessage(1, name); };
    const std::string node = submessage(1, "x") + submessage(2, "y") + submessage(4, "Relu");
    const std::string graph = submessage(NODE, node) + submessage(INPUT, value("x")) +
                              submessage(OUTPUT, value("y"));
    const std::string version("\x08\x08", 2), operators("\x10\x12", 2);
    const std::string plain = version + submessage(MODEL_GRAPH, graph) + submessage(8, operators);
    CHECK(refusal(plain).find("not one of ours") != std::string::npos);
    const std::string circle =
        submessage(NODE, submessage(1, "b") + submessage(2, "a") + submessage(4, "Relu")) +
        submessage(NODE, submessage(1, "a") + submessage(2, "b") + submessage(4, "Relu")) +
        submessage(INPUT, value("x")) + submessage(OUTPUT, value("a"));
    CHECK(refusal(version + submessage(MODEL_GRAPH, circle) + submessage(8, operators))
              .find("circle") != std::string::npos);
    // Weights in another file: field 13 of a tensor.
    const std::string outside = submessage(INITIALIZER, submessage(13, "where")) + graph;
    CHECK(refusal(version + submessage(MODEL_GRAPH, outside) + submessage(8, operators))
              .find("another file") != std::string::npos);
}

void names_in_files_cannot_garble_a_sentence() {
    const std::string name = "\x1b[2Jname\nof\x7f" + std::string(3000, 'x');
    const std::string node = submessage(2, "y") + submessage(4, name) + submessage(7, "own");
    const std::string version("\x08\x08", 2), operators("\x10\x12", 2);
    const std::string reason = refusal(
        version + submessage(MODEL_GRAPH, submessage(NODE, node)) + submessage(8, operators));
    CHECK(reason.find("name?of") != std::string::npos && reason.size() < 400);
    for (const char character : reason)
        CHECK(character >= ' ' && character <= '~');
}

// Numbers with a decimal comma, as in the locales of half of Europe.
struct Comma : std::numpunct<char> {
    char do_decimal_point() const override { return ','; }
};

void numbers_have_a_point_in_every_locale() {
    const std::locale before = std::locale::global(std::locale(std::locale(), new Comma));
    for (const char *name : {"de_DE.UTF-8", "fr_FR.UTF-8", "pt_BR.UTF-8"})
        if (std::setlocale(LC_ALL, name))
            break;
    CHECK(Json::parse("0.25").number == 0.25);
    CHECK(json_is_refused("0,25"));
    CHECK(written(0.25) == "0.25");
    std::setlocale(LC_ALL, "C");
    std::locale::global(before);
}

void what_is_no_file_is_refused() {
    for (const char *path : {"/", "/nowhere/model.onnx", "/dev/null"}) {
        bool is_refused = false;
        try {
            read_file(path);
        } catch (const Error &error) {
            is_refused = error.status == HG_BAD_FILE;
        }
        CHECK(is_refused);
    }
}

void dials_become_required_inputs_and_nothing_else_changes() {
    const ModelFile file(read_file(bundled("denoise-gray-fast.onnx").c_str()), "The file");
    const Outline before = read_outline(file.content), after = read_outline(file.with_inputs());
    CHECK(before.tensors.size() == after.tensors.size() + 4);
    CHECK(before.nodes.size() == after.nodes.size());
    CHECK(before.inputs.size() == after.inputs.size());
}

}  // namespace

int main() {
    sha256_gives_the_digests_of_the_standard();
    json_is_read_and_written_as_python_does();
    bundled_files_are_accepted_and_say_what_they_are();
    a_file_that_was_changed_anywhere_is_refused();
    a_truncated_file_is_refused();
    foreign_files_are_refused_with_a_reason();
    names_in_files_cannot_garble_a_sentence();
    numbers_have_a_point_in_every_locale();
    what_is_no_file_is_refused();
    dials_become_required_inputs_and_nothing_else_changes();
    return failures > 0;
}
