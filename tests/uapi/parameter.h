// SPDX-License-Identifier: MIT
// A parameter of the module that has another value for as long as a test needs it.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "rig.h"

namespace exo::test {

class Parameter {
  public:
    explicit Parameter(const std::string& name)
        : path_("/sys/module/exo/parameters/" + name), before_(get()) {}
    Parameter(const std::string& name, const std::string& text) : Parameter(name) {
        REQUIRE(set(text) == 0);
    }
    Parameter(const std::string& name, uint32_t value) : Parameter(name, std::to_string(value)) {}
    ~Parameter() { set(before_); }
    Parameter(const Parameter&) = delete;
    Parameter& operator=(const Parameter&) = delete;

    std::string get() const {
        Fd file = open_path(path_, O_RDONLY);
        char text[64] = {};
        ssize_t bytes = read(file.get(), text, sizeof(text) - 1);
        REQUIRE_MESSAGE(bytes > 0, path_);
        return std::string(text, static_cast<size_t>(bytes) - 1);  // without the line's end
    }

    // 0 or a negative errno.
    int set(const std::string& text) const {
        Fd file = open_path(path_, O_WRONLY);
        ssize_t bytes = write(file.get(), text.data(), text.size());
        return bytes == static_cast<ssize_t>(text.size()) ? 0 : -errno;
    }

  private:
    std::string path_;
    std::string before_;
};

}  // namespace exo::test
