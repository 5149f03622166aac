#include "onnx_outline.hpp"

#include <cstdint>
#include <deque>
#include <set>

#include "protobuf.hpp"
#include "text.hpp"

namespace hyperguide {

namespace {

// What a message may hold under a field number.
struct Rule {
    enum class Kind { number, single, block, refused } kind;
    bool many = false;
    const char *why = "";  // it is refused although the message's definition has it
};
using Schema = std::map<std::uint32_t, Rule>;
using Found = std::map<std::uint32_t, std::vector<Field>>;

constexpr Rule NUMBER{Rule::Kind::number}, NUMBERS{Rule::Kind::number, true};
constexpr Rule SINGLE{Rule::Kind::single}, SINGLES{Rule::Kind::single, true};
constexpr Rule BLOCK{Rule::Kind::block}, BLOCKS{Rule::Kind::block, true};
constexpr Rule refused(const char *why) { return {Rule::Kind::refused, false, why}; }

constexpr Rule ELSEWHERE = refused("it keeps weights in another file");
constexpr Rule OWN_OPERATORS = refused("it defines operators of its own");
constexpr Rule SUBGRAPH = refused("it has a graph within a graph");
constexpr Rule SPARSE = refused("it has sparse tensors");
constexpr Rule FOREIGN = refused("it has values of a kind that no export writes");
constexpr Rule NOT_RAW = refused("it has weights that are not stored as plain bytes");
constexpr Rule TRAINING = refused("it holds what training goes on with");

const Schema MODEL = {{1, NUMBER}, {2, BLOCK},  {3, BLOCK},    {4, BLOCK},
                       {5, NUMBER}, {6, BLOCK},  {7, BLOCK},    {8, BLOCKS},
                       {14, BLOCKS}, {20, TRAINING}, {25, OWN_OPERATORS}};
const Schema OPERATOR_SET = {{1, BLOCK}, {2, NUMBER}};
const Schema ENTRY = {{1, BLOCK}, {2, BLOCK}};
const Schema GRAPH = {{1, BLOCKS},  {2, BLOCK},   {5, BLOCKS}, {10, BLOCK}, {11, BLOCKS},
                       {12, BLOCKS}, {13, BLOCKS}, {15, SPARSE}, {16, BLOCKS}};
const Schema STEP = {{1, BLOCKS}, {2, BLOCKS}, {3, BLOCK},        {4, BLOCK}, {5, BLOCKS},
                      {6, BLOCK},  {7, BLOCK},  {8, OWN_OPERATORS}, {9, BLOCKS}};
const Schema ATTRIBUTE = {{1, BLOCK},   {2, SINGLE},  {3, NUMBER},  {4, BLOCK},
                           {5, BLOCK},   {7, SINGLES}, {8, NUMBERS}, {9, BLOCKS},
                           {13, BLOCK},  {20, NUMBER}, {6, SUBGRAPH}, {11, SUBGRAPH},
                           {21, OWN_OPERATORS}, {22, SPARSE}, {23, SPARSE},
                           {10, FOREIGN}, {14, FOREIGN}, {15, FOREIGN}};
const Schema TENSOR = {{1, NUMBERS}, {2, NUMBER}, {8, BLOCK},  {9, BLOCK},  {12, BLOCK},
                        {14, NUMBER}, {16, BLOCKS}, {13, ELSEWHERE}, {3, NOT_RAW}, {4, NOT_RAW},
                        {5, NOT_RAW},  {6, NOT_RAW}, {7, NOT_RAW}, {10, NOT_RAW}, {11, NOT_RAW}};
const Schema VALUE = {{1, BLOCK}, {2, BLOCK}, {3, BLOCK}, {4, BLOCKS}};
const Schema TYPE = {{1, BLOCK},   {6, BLOCK},   {4, FOREIGN},
                      {5, FOREIGN}, {8, FOREIGN}, {9, FOREIGN}};
const Schema TENSOR_TYPE = {{1, NUMBER}, {2, BLOCK}};
const Schema SHAPE = {{1, BLOCKS}};
const Schema SIDE = {{1, NUMBER}, {2, BLOCK}, {3, BLOCK}};

constexpr std::size_t MOST_FIELDS = 100'000, MOST_STEPS = 20'000, MOST_DIMENSIONS = 8;
constexpr std::uint64_t LATEST = 99;  // version of ONNX

// Bytes of a value of each of ONNX's types; those that exports do not write are missing.
const std::map<std::uint64_t, std::uint64_t> TYPE_SIZES = {
    {1, 4}, {2, 1}, {3, 1}, {4, 2}, {5, 2}, {6, 4}, {7, 8}, {9, 1}, {10, 2}, {11, 8}, {12, 4}, {13, 8}};

Found read(std::string_view message, const Schema &schema, const char *what) {
    Found found;
    Fields fields(message);
    Field field{};
    for (std::size_t count = 0; fields.next(field); count++) {
        const std::string number = std::to_string(field.number);
        if (count == MOST_FIELDS)
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
        const Found entry = read(field.bytes, ENTRY, "an entry of metadata");
        read_entries.emplace_back(text(entry, 1), text(entry, 2));
    }
    return read_entries;
}

std::string tensor(std::string_view bytes) {
    const Found parts = read(bytes, TENSOR, "a tensor");
    const std::string name = text(parts, 8);
    text(parts, 12);
    entries(parts, 16);
    if (number_in(parts, 14) != 0)
        throw Malformed(ELSEWHERE.why);
    const auto size = TYPE_SIZES.find(number_in(parts, 2));
    if (size == TYPE_SIZES.end())
        throw Malformed("the tensor '" + shown(name) + "' is of a type that no export writes");
    const auto &sides = all(parts, 1);
    if (sides.size() > MOST_DIMENSIONS)
        throw Malformed("the tensor '" + shown(name) + "' has no valid shape");
    const auto &raw = all(parts, 9);
    const std::uint64_t stored = raw.empty() ? 0 : raw[0].bytes.size();
    std::uint64_t values = 1;
    for (const Field &side : sides) {
        if (side.value >> 63)
            throw Malformed("the tensor '" + shown(name) + "' has no valid shape");
        // One zero makes the product zero; otherwise it stops growing beyond what is stored.
        values = side.value == 0 || values == 0 ? 0
                 : values > stored || side.value > stored ? stored + 1 : values * side.value;
    }
    if (values > stored || values * size->second != stored)
        throw Malformed("the tensor '" + shown(name) + "' has not as many values as its shape says");
    return name;
}

Node step(std::string_view bytes) {
    const Found parts = read(bytes, STEP, "a node");
    text(parts, 3), text(parts, 6);
    entries(parts, 9);
    Node node{text(parts, 4), texts(parts, 1), texts(parts, 2)};
    const std::string domain = text(parts, 7);
    if (!domain.empty() && domain != "ai.onnx")
        throw Malformed("the operator '" + shown(node.op) + "' is not a standard one");
    for (const Field &field : all(parts, 5)) {
        const Found attribute = read(field.bytes, ATTRIBUTE, "an attribute");
        text(attribute, 1), text(attribute, 13);
        for (const Field &constant : all(attribute, 5))
            tensor(constant.bytes);
    }
    return node;
}

Value value(std::string_view bytes) {
    const Found parts = read(bytes, VALUE, "an input or output");
    text(parts, 3);
    entries(parts, 4);
    Value found{text(parts, 1), Type::none};
    if (all(parts, 2).empty())
        return found;
    const Found outer = read(all(parts, 2)[0].bytes, TYPE, "a type");
    text(outer, 6);
    if (all(outer, 1).empty())
        return found;
    const Found inner = read(all(outer, 1)[0].bytes, TENSOR_TYPE, "a type");
    found.type = Type(number_in(inner, 1));
    for (const Field &shape : all(inner, 2)) {
        const Found sides = read(shape.bytes, SHAPE, "a shape");
        for (const Field &side : all(sides, 1)) {
            const Found named = read(side.bytes, SIDE, "a side");
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
            throw Malformed("a step '" + shown(node.op) + "' of its graph has no result");
        for (const std::string &name : node.outputs)
            if (!name.empty() && !made.insert(name).second)
                throw Malformed("its graph makes '" + shown(name) + "' twice");
    }
    std::map<std::string, std::vector<std::size_t>> waiting;  // steps that need a name
    std::vector<std::size_t> missing(outline.nodes.size());  // inputs that a step waits for
    std::deque<std::size_t> ready;
    const auto expect = [&made](const std::string &name) {
        if (!made.count(name))
            throw Malformed("its graph does not make '" + shown(name) + "'");
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
    const Found model = read(content, MODEL, "the file");
    for (const std::uint32_t number : {2u, 3u, 4u, 6u})
        text(model, number);
    if (all(model, MODEL_GRAPH).empty())
        throw Malformed("it has no graph");
    const auto &sets = all(model, 8);
    if (sets.size() != 1)
        throw Malformed("it names other operators than the standard ones");
    const Found operators = read(sets[0].bytes, OPERATOR_SET, "a set of operators");
    if (const std::string name = text(operators, 1); !name.empty() && name != "ai.onnx")
        throw Malformed("it names other operators than the standard ones");
    for (const std::uint64_t version : {number_in(model, 1), number_in(operators, 2)})
        if (version == 0 || version > LATEST)
            throw Malformed("it names a version of ONNX that there is not");
    const Found graph = read(all(model, MODEL_GRAPH)[0].bytes, GRAPH, "the graph");
    text(graph, 2), text(graph, 10);
    entries(graph, 16);
    if (all(graph, NODE).size() > MOST_STEPS || all(graph, INITIALIZER).size() > MOST_STEPS)
        throw Malformed("its graph is too long");
    Outline outline;
    for (auto &entry : entries(model, MODEL_METADATA))
        if (!outline.metadata.insert(std::move(entry)).second)
            throw Malformed("it has a metadata entry twice");
    for (const Field &field : all(graph, 13))
        value(field.bytes);
    for (const Field &field : all(graph, NODE))
        outline.nodes.push_back(step(field.bytes));
    for (const Field &field : all(graph, INITIALIZER))
        outline.tensors.push_back(tensor(field.bytes));
    for (const Field &field : all(graph, INPUT))
        outline.inputs.push_back(value(field.bytes));
    for (const Field &field : all(graph, OUTPUT))
        outline.outputs.push_back(value(field.bytes));
    check_order(outline);
    return outline;
}

}  // namespace hyperguide
