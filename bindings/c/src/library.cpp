#include "library.hpp"

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <cstring>
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

// Whether nothing but a version follows ".so": beside a library there may be other files.
bool is_library(const std::string &path) {
    const std::size_t end = path.rfind(".so");
    return end != std::string::npos && path.find_first_not_of(".0123456789", end + 3) == std::string::npos;
}

// A folder as part of a pattern that means only itself.
std::string literally(const std::string &folder) {
    std::string pattern;
    for (const char character : folder)
        pattern += std::strchr("*?[]\\", character) ? std::string("\\") + character
                                                   : std::string(1, character);
    return pattern;
}

// The library of the highest version that matches a pattern; empty if there is none.
std::string newest(const std::string &folder, const std::string &pattern) {
    glob_t found{};
    std::string newest;
    if (glob((literally(folder) + "/" + pattern).c_str(), 0, nullptr, &found) == 0)
        for (std::size_t i = 0; i < found.gl_pathc; i++)
            if (const char *path = found.gl_pathv[i];
                is_library(path) && strverscmp(path, newest.c_str()) > 0)
                newest = path;
    globfree(&found);
    return newest;
}

std::vector<std::string> library_folders() {
    std::vector<std::string> folders;
    if (const char *path = in_environment("LD_LIBRARY_PATH"))
        for (std::string rest = path; !rest.empty();) {
            const std::size_t end = std::min(rest.find(':'), rest.size());
            if (rest[0] == '/')  // never from wherever the program happens to run
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
            if (const std::string path = newest(
                    environment, std::string("lib/python3*/site-packages/") + name.in_python);
                !path.empty())
                return path;
    for (const std::string &folder : library_folders())
        if (const std::string path = newest(folder, name.in_system); !path.empty())
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
