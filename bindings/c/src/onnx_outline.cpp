#include "onnx_outline.hpp"

#include <cstdint>
#include <deque>
#include <set>

#include "protobuf.hpp"

namespace hyperguide {

namespace {

// What a message may hold under a field number.
struct Rule {
    enum class Kind { number, single, block, refused } kind;
    bool many = false;
    const char *why = ""; // it is refused although the message's definition has it
};
using Schema = std::map<std::uint32_t, Rule>;
using Found = std::map<std::uint32_t, std::vector<Field>>;

constexpr Rule kNumber{Rule::Kind::number}, kNumbers{Rule::Kind::number, true};
constexpr Rule kSingle{Rule::Kind::single}, kSingles{Rule::Kind::single, true};
constexpr Rule kBlock{Rule::Kind::block}, kBlocks{Rule::Kind::block, true};
constexpr Rule refused(const char *why) { return {Rule::Kind::refused, false, why}; }

constexpr Rule kElsewhere = refused("it keeps weights in another file");
constexpr Rule kOwnOperators = refused("it defines operators of its own");
constexpr Rule kSubgraph = refused("it has a graph within a graph");
constexpr Rule kSparse = refused("it has sparse tensors");
constexpr Rule kForeign = refused("it has values of a kind that no export writes");
constexpr Rule kNotRaw = refused("it has weights that are not stored as plain bytes");
constexpr Rule kTraining = refused("it holds what training goes on with");

const Schema kModel = {{1, kNumber}, {2, kBlock},  {3, kBlock},    {4, kBlock},
                       {5, kNumber}, {6, kBlock},  {7, kBlock},    {8, kBlocks},
                       {14, kBlocks}, {20, kTraining}, {25, kOwnOperators}};
const Schema kOperatorSet = {{1, kBlock}, {2, kNumber}};
const Schema kEntry = {{1, kBlock}, {2, kBlock}};
const Schema kGraph = {{1, kBlocks},  {2, kBlock},   {5, kBlocks}, {10, kBlock}, {11, kBlocks},
                       {12, kBlocks}, {13, kBlocks}, {15, kSparse}, {16, kBlocks}};
const Schema kStep = {{1, kBlocks}, {2, kBlocks}, {3, kBlock},        {4, kBlock}, {5, kBlocks},
                      {6, kBlock},  {7, kBlock},  {8, kOwnOperators}, {9, kBlocks}};
const Schema kAttribute = {{1, kBlock},   {2, kSingle},  {3, kNumber},  {4, kBlock},
                           {5, kBlock},   {7, kSingles}, {8, kNumbers}, {9, kBlocks},
                           {13, kBlock},  {20, kNumber}, {6, kSubgraph}, {11, kSubgraph},
                           {21, kOwnOperators}, {22, kSparse}, {23, kSparse},
                           {10, kForeign}, {14, kForeign}, {15, kForeign}};
const Schema kTensor = {{1, kNumbers}, {2, kNumber}, {8, kBlock},  {9, kBlock},  {12, kBlock},
                        {14, kNumber}, {16, kBlocks}, {13, kElsewhere}, {3, kNotRaw}, {4, kNotRaw},
                        {5, kNotRaw},  {6, kNotRaw}, {7, kNotRaw}, {10, kNotRaw}, {11, kNotRaw}};
const Schema kValue = {{1, kBlock}, {2, kBlock}, {3, kBlock}, {4, kBlocks}};
const Schema kType = {{1, kBlock},   {6, kBlock},   {4, kForeign},
                      {5, kForeign}, {8, kForeign}, {9, kForeign}};
const Schema kTensorType = {{1, kNumber}, {2, kBlock}};
const Schema kShape = {{1, kBlocks}};
const Schema kSide = {{1, kNumber}, {2, kBlock}, {3, kBlock}};

constexpr std::size_t kMostFields = 100'000, kMostSteps = 20'000, kMostDimensions = 8;
constexpr std::uint64_t kLatest = 99; // version of ONNX

// Bytes of a value of each of ONNX's types; those that exports do not write are missing.
const std::map<std::uint64_t, std::uint64_t> kTypeSizes = {
    {1, 4}, {2, 1}, {3, 1}, {4, 2}, {5, 2}, {6, 4}, {7, 8}, {9, 1}, {10, 2}, {11, 8}, {12, 4}, {13, 8}};

Found read(std::string_view message, const Schema &schema, const char *what) {
    Found found;
    Fields fields(message);
    Field field{};
    for (std::size_t count = 0; fields.next(field); count++) {
        const std::string number = std::to_string(field.number);
        if (count == kMostFields)
            throw Malformed(std::string(what) + " has too many fields");
        const auto rule = schema.find(field.number);
        if (rule == schema.end())
            throw Malformed(std::string(what) + " has an unknown field " + number);
        const Rule &allowed = rule->second;
        if (allowed.kind == Rule::Kind::refused)
            throw Malformed(allowed.why);
        const Wire wire = allowed.kind == Rule::Kind::number   ? Wire::varint
                          : allowed.kind == Rule::Kind::single ? Wire::fixed32
                                                               : Wire::bytes;
        if (field.wire != wire)
            throw Malformed(std::string(what) + " has a field " + number + " of another type");
        auto &values = found[field.number];
        if (!values.empty() && !allowed.many)
            throw Malformed(std::string(what) + " has its field " + number + " twice");
        values.push_back(field);
    }
    return found;
}

const std::vector<Field> &all(const Found &found, std::uint32_t number) {
    static const std::vector<Field> nothing;
    const auto place = found.find(number);
    return place == found.end() ? nothing : place->second;
}

std::uint64_t number_in(const Found &found, std::uint32_t number) {
    const auto &values = all(found, number);
    return values.empty() ? 0 : values[0].value;
}

std::vector<std::string> texts(const Found &found, std::uint32_t number) {
    std::vector<std::string> read;
    for (const Field &field : all(found, number)) {
        check_text(field.bytes);
        read.emplace_back(field.bytes);
    }
    return read;
}

std::string text(const Found &found, std::uint32_t number) {
    const auto read = texts(found, number);
    return read.empty() ? "" : read[0];
}

std::vector<std::pair<std::string, std::string>> entries(const Found &found, std::uint32_t number) {
    std::vector<std::pair<std::string, std::string>> read_entries;
    for (const Field &field : all(found, number)) {
        const Found entry = read(field.bytes, kEntry, "an entry of metadata");
        read_entries.emplace_back(text(entry, 1), text(entry, 2));
    }
    return read_entries;
}

std::string tensor(std::string_view bytes) {
    const Found parts = read(bytes, kTensor, "a tensor");
    const std::string name = text(parts, 8);
    text(parts, 12);
    entries(parts, 16);
    if (number_in(parts, 14) != 0)
        throw Malformed(kElsewhere.why);
    const auto size = kTypeSizes.find(number_in(parts, 2));
    if (size == kTypeSizes.end())
        throw Malformed("the tensor '" + name + "' is of a type that no export writes");
    const auto &sides = all(parts, 1);
    if (sides.size() > kMostDimensions)
        throw Malformed("the tensor '" + name + "' has no valid shape");
    const auto &raw = all(parts, 9);
    const std::uint64_t stored = raw.empty() ? 0 : raw[0].bytes.size();
    std::uint64_t values = 1;
    for (const Field &side : sides) {
        if (side.value >> 63)
            throw Malformed("the tensor '" + name + "' has no valid shape");
        // One zero makes the product zero; otherwise it stops growing beyond what is stored.
        values = side.value == 0 || values == 0 ? 0
                 : values > stored || side.value > stored ? stored + 1 : values * side.value;
    }
    if (values > stored || values * size->second != stored)
        throw Malformed("the tensor '" + name + "' has not as many values as its shape says");
    return name;
}

Node step(std::string_view bytes) {
    const Found parts = read(bytes, kStep, "a node");
    text(parts, 3), text(parts, 6);
    entries(parts, 9);
    Node node{text(parts, 4), texts(parts, 1), texts(parts, 2)};
    const std::string domain = text(parts, 7);
    if (!domain.empty() && domain != "ai.onnx")
        throw Malformed("the operator " + node.op + " is not a standard one");
    for (const Field &field : all(parts, 5)) {
        const Found attribute = read(field.bytes, kAttribute, "an attribute");
        text(attribute, 1), text(attribute, 13);
        for (const Field &constant : all(attribute, 5))
            tensor(constant.bytes);
    }
    return node;
}

Value value(std::string_view bytes) {
    const Found parts = read(bytes, kValue, "an input or output");
    text(parts, 3);
    entries(parts, 4);
    Value found{text(parts, 1), Type::none};
    if (all(parts, 2).empty())
        return found;
    const Found outer = read(all(parts, 2)[0].bytes, kType, "a type");
    text(outer, 6);
    if (all(outer, 1).empty())
        return found;
    const Found inner = read(all(outer, 1)[0].bytes, kTensorType, "a type");
    found.type = Type(number_in(inner, 1));
    for (const Field &shape : all(inner, 2)) {
        const Found sides = read(shape.bytes, kShape, "a shape");
        for (const Field &side : all(sides, 1)) {
            const Found named = read(side.bytes, kSide, "a side");
            text(named, 2), text(named, 3);
        }
    }
    return found;
}

// Checks that steps have their inputs made by others, each name once, and nothing in a circle.
void check_order(const Outline &outline) {
    std::set<std::string> made;
    const auto unique = [](const std::vector<std::string> &names) {
        const std::set<std::string> kept(names.begin(), names.end());
        if (kept.size() < names.size() || kept.count(""))
            throw Malformed("names of its inputs, weights or outputs are missing or repeated");
    };
    std::vector<std::string> given, wanted;
    for (const Value &input : outline.inputs)
        given.push_back(input.name);
    for (const Value &output : outline.outputs)
        wanted.push_back(output.name);
    unique(given), unique(outline.tensors), unique(wanted);
    made.insert(given.begin(), given.end());
    made.insert(outline.tensors.begin(), outline.tensors.end());
    const std::set<std::string> known = made;
    for (const Node &node : outline.nodes) {
        if (node.outputs.empty() || node.outputs[0].empty())
            throw Malformed("a step '" + node.op + "' of its graph has no result");
        for (const std::string &name : node.outputs)
            if (!name.empty() && !made.insert(name).second)
                throw Malformed("its graph makes '" + name + "' twice");
    }
    std::map<std::string, std::vector<std::size_t>> waiting; // steps that need a name
    std::vector<std::size_t> missing(outline.nodes.size());  // inputs that a step waits for
    std::deque<std::size_t> ready;
    const auto expect = [&made](const std::string &name) {
        if (!made.count(name))
            throw Malformed("its graph does not make '" + name + "'");
    };
    for (const std::string &name : wanted)
        expect(name);
    for (std::size_t i = 0; i < outline.nodes.size(); i++) {
        std::set<std::string> unknown;
        for (const std::string &name : outline.nodes[i].inputs)
            if (!name.empty()) {
                expect(name);
                if (!known.count(name) && unknown.insert(name).second)
                    waiting[name].push_back(i);
            }
        if ((missing[i] = unknown.size()) == 0)
            ready.push_back(i);
    }
    std::size_t done = 0;
    for (; !ready.empty(); done++) {
        const Node &node = outline.nodes[ready.front()];
        ready.pop_front();
        for (const std::string &name : node.outputs)
            if (const auto place = waiting.find(name); place != waiting.end())
                for (const std::size_t i : place->second)
                    if (--missing[i] == 0)
                        ready.push_back(i);
    }
    if (done < outline.nodes.size())
        throw Malformed("its graph runs in a circle");
}

}  // namespace

Outline read_outline(std::string_view content) {
    const Found model = read(content, kModel, "the file");
    for (const std::uint32_t number : {2u, 3u, 4u, 6u})
        text(model, number);
    if (all(model, kModelGraph).empty())
        throw Malformed("it has no graph");
    const auto &sets = all(model, 8);
    if (sets.size() != 1)
        throw Malformed("it names other operators than the standard ones");
    const Found operators = read(sets[0].bytes, kOperatorSet, "a set of operators");
    if (const std::string name = text(operators, 1); !name.empty() && name != "ai.onnx")
        throw Malformed("it names other operators than the standard ones");
    for (const std::uint64_t version : {number_in(model, 1), number_in(operators, 2)})
        if (version == 0 || version > kLatest)
            throw Malformed("it names a version of ONNX that there is not");
    const Found graph = read(all(model, kModelGraph)[0].bytes, kGraph, "the graph");
    text(graph, 2), text(graph, 10);
    entries(graph, 16);
    if (all(graph, kNode).size() > kMostSteps || all(graph, kInitializer).size() > kMostSteps)
        throw Malformed("its graph is too long");
    Outline outline;
    for (auto &entry : entries(model, kModelMetadata))
        if (!outline.metadata.insert(std::move(entry)).second)
            throw Malformed("it has a metadata entry twice");
    for (const Field &field : all(graph, 13))
        value(field.bytes);
    for (const Field &field : all(graph, kNode))
        outline.nodes.push_back(step(field.bytes));
    for (const Field &field : all(graph, kInitializer))
        outline.tensors.push_back(tensor(field.bytes));
    for (const Field &field : all(graph, kInput))
        outline.inputs.push_back(value(field.bytes));
    for (const Field &field : all(graph, kOutput))
        outline.outputs.push_back(value(field.bytes));
    check_order(outline);
    return outline;
}

}  // namespace hyperguide
