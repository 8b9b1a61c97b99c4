// SPDX-License-Identifier: MIT
// Traversal programs: load a BPF object, find what is attached.
#pragma once

#include <exo/result.hpp>

#include <memory>
#include <vector>

namespace exo::inline v0 {

class Program {
  public:
    static Result<Program> load(const std::string& path, uint32_t flags = 0) {
        exo_program_options options = {};
        options.size = sizeof(options);
        options.flags = flags;
        exo_program* program = nullptr;
        int error = exo_program__load_file(path.c_str(), &options, &program);
        if (error < 0) return last_error(error);
        return Program(program);
    }
    static Result<uint32_t> find(const std::string& name) {
        uint32_t id = 0;
        int error = exo_program__find(name.c_str(), &id);
        if (error < 0) return last_error(error);
        return id;
    }
    static Result<> unload(const std::string& name) {
        return check(exo_program__unload(name.c_str(), nullptr));
    }

    size_t count() const { return exo_program__count(program_.get()); }
    std::string name(size_t at = 0) const { return exo_program__name(program_.get(), at); }
    uint32_t id(size_t at = 0) const { return exo_program__id(program_.get(), at); }
    // The names in it live as long as this.
    std::vector<exo_function_info> functions() const {
        std::vector<exo_function_info> all(exo_program__function_count(program_.get()));
        for (size_t at = 0; at < all.size(); at++) {
            exo_program__function(program_.get(), at, &all[at], sizeof(all[at]));
        }
        return all;
    }

  private:
    explicit Program(exo_program* program) : program_(program) {}
    struct Closer {
        void operator()(exo_program* program) const { exo_program__close(program); }
    };
    std::unique_ptr<exo_program, Closer> program_;
};

}  // namespace exo::inline v0
