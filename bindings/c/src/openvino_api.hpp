// The part of OpenVINO's C API that is used, by names, declared here: headers need not be there.
// https://docs.openvino.ai, "OpenVINO Runtime C API"
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "error.hpp"
#include "library.hpp"

namespace hyperguide::openvino {

struct Core;
struct Model;
struct Compiled;
struct Request;
struct Tensor;

struct Shape {
    std::int64_t rank;
    std::int64_t *sides;
};
struct Range {
    std::int64_t least, most;
};
struct PartialShape {
    Range rank;
    Range *sides;
};
struct Version {
    const char *number, *description;
};

using Status = int;  // 0 is success
constexpr Status CANCELLED = -13;

// The functions of the library.
class Api {
  public:
    // Throws Error(HG_NO_BACKEND) if the library is missing, too old, or not this one.
    explicit Api(const std::string &path);

    // Throws an Error of this kind, that begins with a sentence, unless the status is 0.
    void check(Status status, hg_status kind, const std::string &sentence) const;

    const std::string &version() const { return version_; }
    // The library's number for float32; it changed between versions.
    int float32() const { return float32_; }

  private:
    Library library_;
    std::string version_;
    int float32_ = 0;

    template <typename Function> Function *load(const char *symbol) const {
        return library_.function<Function>(symbol);
    }

  public:
    Status (*create_core)(Core **);
    void (*free_core)(Core *);
    Status (*read_model)(const Core *, const char *, std::size_t, const Tensor *, Model **);
    void (*free_model)(Model *);
    Status (*reshape)(const Model *, const char **, const PartialShape *, std::size_t);
    // After the compiled model: pairs of keys and values, whose number of strings is given.
    Status (*compile)(const Core *, const Model *, const char *, std::size_t, Compiled **, ...);
    void (*free_compiled)(Compiled *);
    Status (*create_request)(const Compiled *, Request **);
    void (*free_request)(Request *);
    Status (*set_tensor)(Request *, const char *, const Tensor *);
    Status (*get_tensor)(const Request *, const char *, Tensor **);
    Status (*start)(Request *);
    Status (*wait)(Request *);
    Status (*cancel)(Request *);
    Status (*create_tensor)(int, Shape, void *, Tensor **);
    void (*free_tensor)(Tensor *);
    Status (*tensor_bytes)(const Tensor *, std::size_t *);
    Status (*tensor_data)(const Tensor *, void **);
};

bool is_found();

}  // namespace hyperguide::openvino
