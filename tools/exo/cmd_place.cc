// SPDX-License-Identifier: MIT
// exo place: says where the blocks that a file is going to get should lie.
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <system_error>

#include "tools/exo/files.h"

namespace exo::tool {

namespace {

// The file to be placed. One that was made for it goes again where placing it fails.
class Target {
  public:
    explicit Target(const std::string& path) : path_(path), file_(open()) {}
    ~Target() {
        if (made_) unlink(path_.c_str());
    }
    Target(const Target&) = delete;
    Target& operator=(const Target&) = delete;
    const File& file() const { return file_; }
    void keep() { made_ = false; }

  private:
    File open() {
        if (auto made = File::open(path_, O_WRONLY | O_CREAT | O_EXCL)) {
            made_ = true;
            return std::move(*made);
        }
        // It is there, or dangles as a symbolic link; or neither, and this says why.
        return take(File::open(path_, O_WRONLY | O_CREAT));
    }
    const std::string path_;
    bool made_ = false;
    const File file_;
};

}  // namespace

void add_place(CLI::App& app, Context& context) {
    struct Options {
        std::string file, near;
        uint64_t offset = 0;
    };
    auto options = std::make_shared<Options>();
    auto* command = app.add_subcommand("place", "Say where a file's next blocks should lie");
    command->add_option("FILE", options->file, "A file on an exo mount; made if it is not there")
        ->required();
    auto* at = command->add_option("--at", options->offset,
                                   "Byte of the device, as exo map shows it; 0: no wish");
    auto* near = command->add_option("--near", options->near, "Behind the data of this file");
    at->excludes(near);
    command->footer(
        "A hint, followed where there is room. It is forgotten with the last user of the file: "
        "keep it open,\nor write soon.");
    command->callback([&context, options] {
        context.run = [options] {
            Target target(options->file);
            if (options->near.empty()) {
                take(target.file().place(options->offset));
            } else {
                // Open until it is placed: only then is it sure to be there.
                const File other = take(File::open(options->near));
                struct stat here, there;
                if (fstat(target.file().fd(), &here) != 0 || fstat(other.fd(), &there) != 0)
                    throw Failure(options->near + ": " + std::generic_category().message(errno));
                if (here.st_dev != there.st_dev)
                    throw Failure(options->near + ": not on the file system of " + options->file);
                take(target.file().place(there.st_ino, EXO_PLACE_NEAR));
            }
            target.keep();
            return kExitOk;
        };
    });
}

}  // namespace exo::tool
