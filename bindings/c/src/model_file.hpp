// A model file: its bytes, whether they are as they were exported, and its description.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "onnx_outline.hpp"

namespace hyperguide {

// Names of the contract of model files.
namespace name {
constexpr char IMAGE[] = "image", ENHANCED[] = "enhanced", GUIDANCE[] = "guidance";
constexpr char GUIDANCE_IN[] = "guidance_in", MIX[] = "guidance_mix";
constexpr char SCALE[] = "guidance_scale", STRENGTH[] = "strength", KERNEL[] = "kernel";
}  // namespace name

struct ModelInfo {
    std::string task, tier, color, context, precision, io;
    std::string guidance, unit;
    float minimum = 0, maximum = 1, smoothing = 0;
    int size_multiple = 1;

    int channels() const { return color == "gray" ? 1 : 3; }
    bool is_noise() const { return guidance == "noise_level"; }
    // The smallest valid height or width that is not below `length`.
    int padded(int length) const {
        return (length + size_multiple - 1) / size_multiple * size_multiple;
    }
};

class ModelFile {
  public:
    // content: of an .onnx file; where: names it in errors.
    // Throws Error(HG_BAD_FILE) unless it is a model of ours, unchanged since its export.
    ModelFile(std::string content, const std::string &where);

    // The file with dials and kernel as required inputs, for engines without default values.
    std::string with_inputs() const;

    std::string content;
    ModelInfo info;
    bool takes_kernel = false;
    // Dials and kernel without a default value, which files for the web have.
    std::vector<const char *> required;
};

// The bytes of a file. Throws Error(HG_BAD_FILE).
std::string read_file(const char *path);

}  // namespace hyperguide
