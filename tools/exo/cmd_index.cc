// SPDX-License-Identifier: MIT
// exo index: build B+-tree index files, look at them, check them.
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <exo/index/btree.hpp>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <system_error>

#include "tools/exo/files.h"
#include "tools/exo/output.h"
#include "tools/exo/records.h"

namespace exo::tool {

namespace {

Json info_json(const std::string& path, const exo_index_info& info) {
    char build_id[19];
    std::snprintf(build_id, sizeof build_id, "%016llx",
                  static_cast<unsigned long long>(info.build_id));
    return {{"file", path},
            {"build_id", build_id},
            {"file_bytes", info.file_bytes},
            {"records", info.records},
            {"depth", info.depth},
            {"node_bytes", info.node_bytes},
            {"leaf_nodes", info.leaf_nodes},
            {"inner_nodes", info.inner_nodes},
            {"overflow_nodes", info.overflow_nodes},
            {"key_bytes", info.key_bytes},
            {"value_bytes", info.value_bytes},
            {"max_key_bytes", info.max_key_bytes},
            {"max_value_bytes", info.max_value_bytes}};
}

// Removes a half-written file unless it was put in its place.
class PartialFile {
  public:
    explicit PartialFile(const std::string& target)
        : target_(target), path_(target + ".partial-" + std::to_string(getpid())) {}
    ~PartialFile() {
        if (!placed_) unlink(path_.c_str());
    }
    const std::string& path() const { return path_; }
    void place() {
        if (std::rename(path_.c_str(), target_.c_str()) != 0)
            throw Failure(target_ +
                          ": cannot be put in place: " + std::generic_category().message(errno));
        placed_ = true;
        sync_folder();
    }

  private:
    // So that the name is as durable as the data.
    void sync_folder() const {
        std::string folder = std::filesystem::path(target_).parent_path();
        Result<File> opened = File::open(folder.empty() ? "." : folder, O_RDONLY | O_DIRECTORY);
        if (opened) fsync(opened->fd());
    }

    std::string target_;
    std::string path_;
    bool placed_ = false;
};

void add_build(CLI::App& index, Context& context) {
    struct Options {
        std::vector<std::string> inputs;
        std::string output;
        std::string format = "tsv";
        exo_duplicates duplicates = EXO_DUPLICATES_ERROR;
        bool force = false;
    };
    auto options = std::make_shared<Options>();
    auto* command = index.add_subcommand("build", "Build an index file from key-value records");
    command->add_option("INPUT", options->inputs, "Files with records; none or - is stdin");
    command->add_option("-o,--output", options->output, "The index file to make")->required();
    command
        ->add_option("--format", options->format,
                     "tsv: key TAB value, one record a line (default); debian-packages: package "
                     "lists as apt keeps them")
        ->check(CLI::IsMember({"tsv", "debian-packages"}));
    command
        ->add_option("--duplicates", options->duplicates,
                     "When a key occurs again: error (default), or keep the first or the last")
        ->transform(CLI::CheckedTransformer(
            std::map<std::string, exo_duplicates>{{"error", EXO_DUPLICATES_ERROR},
                                                  {"first", EXO_DUPLICATES_FIRST},
                                                  {"last", EXO_DUPLICATES_LAST}}));
    command->add_flag("--force", options->force, "Replace the output file if it is there");
    command->footer(
        "Records need not be sorted; they are kept in memory until written. Keys have at most 1024 "
        "bytes, values 32768.");
    command->callback([&context, options] {
        context.run = [&context, options] {
            if (!options->force && std::filesystem::exists(options->output))
                throw Failure(options->output + ": is there already; --force replaces it");
            exo_index_builder_options builder_options = {};
            builder_options.duplicates = options->duplicates;
            IndexBuilder builder = take(IndexBuilder::make(builder_options));
            auto add = [&](std::string_view key, std::string_view value) {
                take(builder.add(key, value));
            };
            auto read = options->format == "tsv" ? read_tsv : read_debian_packages;
            if (options->inputs.empty()) options->inputs.push_back("-");
            for (const std::string& path : options->inputs) {
                if (path == "-") {
                    read(std::cin, "stdin", add);
                    continue;
                }
                std::ifstream input(path, std::ios::binary);
                if (!input) throw Failure(path + ": " + std::generic_category().message(errno));
                read(input, path, add);
                if (input.bad()) throw Failure(path + ": reading failed");
            }
            PartialFile partial(options->output);
            const auto start = std::chrono::steady_clock::now();
            exo_index_info info = {};
            {
                const File file = take(File::open(partial.path(), O_RDWR | O_CREAT | O_EXCL, 0644));
                info = take(builder.finish(file));
            }
            partial.place();
            const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
            if (context.json) {
                Json object = info_json(options->output, info);
                object["duplicates_left_out"] = info.duplicates;
                object["seconds"] = took.count();
                print_object(true, object);
                return kExitOk;
            }
            std::cout << options->output << ": " << info.records << " records, depth " << info.depth
                      << ", " << size_text(info.file_bytes) << " (" << info.leaf_nodes
                      << " leaves, " << info.inner_nodes << " inner nodes, " << info.overflow_nodes
                      << " overflow nodes)";
            if (info.duplicates) std::cout << ", " << info.duplicates << " duplicates left out";
            std::cout << "\n";
            return kExitOk;
        };
    });
}

void add_index_info(CLI::App& index, Context& context) {
    auto path = std::make_shared<std::string>();
    auto* command = index.add_subcommand("info", "Size, depth and counts of an index file");
    command->add_option("FILE", *path, "An index file")->required();
    command->callback([&context, path] {
        context.run = [&context, path] {
            const File file = take(File::open(*path));
            print_object(context.json, info_json(*path, take(Index::open(file)).info()));
            return kExitOk;
        };
    });
}

void add_dump(CLI::App& index, Context& context) {
    struct Options {
        std::string file;
        std::string from;
        bool keys = false;
        uint64_t limit = 0;
    };
    auto options = std::make_shared<Options>();
    auto* command = index.add_subcommand("dump", "Print the records of an index in key order");
    command->add_option("FILE", options->file, "An index file")->required();
    command->add_flag("--keys", options->keys, "Keys only");
    command->add_option("--from", options->from, "Start at this key");
    command->add_option("--limit", options->limit, "Stop after so many records (0: all)");
    command->footer("Prints key TAB value; bytes as they are. With --json, one object a line.");
    command->callback([&context, options] {
        context.run = [&context, options] {
            const File file = take(File::open(options->file));
            const Index opened = take(Index::open(file));
            uint64_t count = 0;
            auto done =
                opened.scan(options->from, [&](std::string_view key, std::string_view value) {
                    if (context.json) {
                        Json row;
                        put_bytes(row, "key", key);
                        if (!options->keys) put_bytes(row, "value", value);
                        std::cout << row.dump() << '\n';
                    } else {
                        std::cout << key;
                        if (!options->keys) std::cout << '\t' << value;
                        std::cout << '\n';
                    }
                    return ++count != options->limit && bool(std::cout);
                });
            take(done);
            return kExitOk;
        };
    });
}

void add_verify(CLI::App& index, Context& context) {
    auto path = std::make_shared<std::string>();
    auto* command =
        index.add_subcommand("verify", "Read a whole index: checksums, order, links and counts");
    command->add_option("FILE", *path, "An index file")->required();
    command->footer("Exit code 1 if the index is damaged.");
    command->callback([&context, path] {
        context.run = [&context, path] {
            const File file = take(File::open(*path));
            Result<Index> opened = Index::open(file);
            Result<> verdict = opened ? opened->verify() : std::unexpected(opened.error());
            if (!verdict && verdict.error().code != EBADMSG) throw Failure(verdict.error().message);
            if (context.json)
                print_object(true, {{"file", *path},
                                    {"sound", bool(verdict)},
                                    {"problem", verdict ? "" : verdict.error().message}});
            if (!verdict) throw Failure(verdict.error().message, kExitNo);
            if (!context.json)
                std::cout << *path << ": sound, " << opened->info().records << " records\n";
            return kExitOk;
        };
    });
}

}  // namespace

void add_index(CLI::App& app, Context& context) {
    auto* index = app.add_subcommand("index", "B+-tree index files: build, info, dump, verify");
    index->require_subcommand(1);
    add_build(*index, context);
    add_index_info(*index, context);
    add_dump(*index, context);
    add_verify(*index, context);
}

}  // namespace exo::tool
