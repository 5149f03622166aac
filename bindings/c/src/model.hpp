// A loaded model, shared by its handle and its sessions.
#pragma once

#include <memory>
#include <string>

#include "engine.hpp"
#include "hyperguide.h"

namespace hyperguide {

struct Model {
    ModelInfo info;
    bool takes_kernel;
    std::string engine_name;
    std::unique_ptr<Engine> engine;
};

}  // namespace hyperguide

struct hg_model {
    std::shared_ptr<const hyperguide::Model> shared;
};
