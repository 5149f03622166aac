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
    hg_log_callback log;
    void *user;

    void say(hg_log_level level, const std::string &message) const {
        if (log)
            log(level, message.c_str(), user);
    }
};

}  // namespace hyperguide

struct hg_model {
    std::shared_ptr<const hyperguide::Model> shared;
};
