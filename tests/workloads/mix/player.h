// SPDX-License-Identifier: MIT
// One process's random operations: in its own folder, where it knows what must come of each, and in
// a folder that all share, where only what holds for every order can be demanded.
#pragma once

#include <random>
#include <string>

#include "tests/workloads/mix/model.h"

namespace mix {

class Player {
  public:
    Player(std::string own, std::string shared, unsigned number, uint64_t seed)
        : own_(std::move(own)), shared_(std::move(shared)), number_(number), random_(seed) {}
    Model& model() { return model_; }
    void play(size_t operations);

  private:
    size_t below(size_t n) { return n == 0 ? 0 : random_() % n; }
    std::string full(const std::string& path) const { return own_ + "/" + path; }
    std::string new_path();
    // Something of that kind, or empty.
    std::string any_file();
    std::string any_folder(bool may_be_top);
    std::string some_text();

    void operate_on_names();
    void operate_on_content();
    void operate_on_shared();

    void rename_something();
    void remove_something();
    void make_unnamed();

    void write_at(File& file, int fd);
    void map_and_write(File& file, int fd);
    void change_space(File& file, int fd);
    void copy_range(File& file, int fd);
    void read_back(const File& file, int fd);
    void use_after_unlink();

    std::string own_, shared_;
    unsigned number_;
    std::mt19937_64 random_;
    Model model_;
};

// What holds in the shared folder once all are done: names and link counts agree, every file is
// whole.
void check_shared(const std::string& shared);

}  // namespace mix
