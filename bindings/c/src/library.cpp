#include "library.hpp"

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <dlfcn.h>
#include <glob.h>
#include <unistd.h>
#include <vector>

#include "error.hpp"

namespace hyperguide {

namespace {

const char *in_environment(const char *variable) {
    const char *text = std::getenv(variable);
    return text && *text ? text : nullptr;
}

// The last file, by name, that matches a pattern: the newest version.
std::string newest(const std::string &pattern) {
    glob_t found{};
    std::string last;
    if (glob(pattern.c_str(), 0, nullptr, &found) == 0)
        last = found.gl_pathv[found.gl_pathc - 1];
    globfree(&found);
    return last;
}

std::vector<std::string> library_folders() {
    std::vector<std::string> folders;
    if (const char *path = in_environment("LD_LIBRARY_PATH"))
        for (std::string rest = path; !rest.empty();) {
            const std::size_t end = std::min(rest.find(':'), rest.size());
            if (rest[0] == '/') // never from wherever the program happens to run
                folders.push_back(rest.substr(0, end));
            rest.erase(0, end + 1);
        }
    for (const char *usual :
         {"/usr/local/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64",
          "/usr/lib", "/opt/intel/openvino/runtime/lib/intel64"})
        folders.push_back(usual);
    return folders;
}

// The path of a library; empty if there is none.
std::string find(const LibraryName &name) {
    for (const char *variable : {"VIRTUAL_ENV", "CONDA_PREFIX"})
        if (const char *environment = in_environment(variable))
            if (const std::string path = newest(std::string(environment) +
                                                "/lib/python3*/site-packages/" + name.in_python);
                !path.empty())
                return path;
    for (const std::string &folder : library_folders())
        if (const std::string path = newest(folder + "/" + name.in_system); !path.empty())
            return path;
    return "";
}

}  // namespace

Library::Library(const LibraryName &name, const std::string &path)
    : product_(name.product), path_(path) {
    const char *told = in_environment(name.variable);
    if (path_.empty())
        path_ = told ? told : find(name);
    if (path_.empty())
        throw Error(HG_NO_BACKEND, std::string(product_) + " was not found: install it, or set " +
                                       name.variable + " to the path of its library.");
    char absolute[PATH_MAX];
    if (!realpath(path_.c_str(), absolute) || access(absolute, R_OK) != 0)
        throw Error(HG_NO_BACKEND, path_ + " cannot be read: give the path of " + product_ +
                                       "'s library.");
    handle_ = dlopen(absolute, RTLD_NOW | RTLD_LOCAL);
    if (!handle_) {
        const char *reason = dlerror();
        throw Error(HG_NO_BACKEND, std::string(product_) + " cannot be loaded: " +
                                       (reason ? reason : "no reason was given") + ".");
    }
}

void *Library::address(const char *symbol) const {
    void *found = dlsym(handle_, symbol);
    if (!found)
        throw Error(HG_NO_BACKEND, path_ + " is not the library of " + product_ + ", or too old: it "
                                       "lacks " + symbol + ".");
    return found;
}

bool is_found(const LibraryName &name) {
    return in_environment(name.variable) || !find(name).empty();
}

}  // namespace hyperguide
