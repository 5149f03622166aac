// Reads the contents of an ONNX file strictly, before an engine sees its bytes.
//
// A file passes if it consists only of what exports write: weights inside it, one graph of standard
// operators without cycles, no functions, no subgraphs. So it cannot make an engine read another
// file, and engines find its bytes well-formed.
// Field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace hyperguide {

// Fields of a file and of its graph.
constexpr std::uint32_t MODEL_GRAPH = 7, MODEL_METADATA = 14;
constexpr std::uint32_t NODE = 1, INITIALIZER = 5, INPUT = 11, OUTPUT = 12;
constexpr std::uint32_t TENSOR_NAME = 8;

// Type numbers of ONNX.
enum class Type { none = 0, float32 = 1, uint8 = 2 };

struct Value {
    std::string name;
    Type type;
};

struct Node {
    std::string op;
    std::vector<std::string> inputs, outputs;
};

struct Outline {
    std::map<std::string, std::string> metadata;
    std::vector<Node> nodes;
    std::vector<std::string> tensors;
    std::vector<Value> inputs, outputs;
};

// Throws Malformed with a reason if the file does not pass.
Outline read_outline(std::string_view content);

}  // namespace hyperguide
