// Finds and loads the libraries of engines at run time.
#pragma once

#include <string>

namespace hyperguide {

// A library that may be loaded.
struct LibraryName {
    const char *product;     // in errors
    const char *variable;    // of the environment that holds its path
    const char *in_python;   // pattern within site-packages
    const char *in_system;   // pattern within folders of libraries
};

// A loaded library. It stays loaded: engines own threads.
class Library {
  public:
    // path: given by the user, or empty to look for it.
    // Throws Error(HG_NO_BACKEND) if there is none or it cannot be loaded.
    Library(const LibraryName &name, const std::string &path);

    // The address of a function. Throws Error(HG_NO_BACKEND) if there is none of that name.
    template <typename Function> Function *function(const char *symbol) const {
        return reinterpret_cast<Function *>(address(symbol));
    }

    const std::string &path() const { return path_; }

  private:
    void *address(const char *symbol) const;

    const char *product_;
    std::string path_;
    void *handle_;
};

// Whether a library is there, without loading it.
bool is_found(const LibraryName &name);

}  // namespace hyperguide
