// SPDX-License-Identifier: MIT
// A fresh small volume in memory, and short words for what tests do with it all the time.
#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <string>

#include "fs/base/log.h"
#include "fs/fsck/fsck.h"
#include "fs/mkfs/mkfs.h"
#include "fs/volume/volume.h"
#include "tests/support/faulty_device.h"
#include "tests/support/memory_device.h"

#define EXO_REQUIRE_OK(expression)                                          \
    do {                                                                    \
        const auto& exo_ok_ = (expression);                                 \
        if (!exo_ok_)                                                       \
            FAIL(#expression ": " << exo::describe(exo_ok_.error()) << " (" \
                                  << exo_ok_.error().code << ")");          \
    } while (0)
#define EXO_CHECK_CODE(expression, expected)                                                \
    do {                                                                                    \
        const auto& exo_code_ = (expression);                                               \
        CHECK_MESSAGE((exo_code_ ? 0 : exo_code_.error().code) == (expected), #expression); \
    } while (0)

namespace exo::test {

inline MountOptions quiet_mount() {
    MountOptions options;
    options.commit_interval_ms = 0;
    return options;
}

inline MemoryDevice fresh_image(uint64_t size_bytes = 32u << 20) {
    MemoryDevice device(size_bytes);
    EXO_REQUIRE_OK(mkfs(device, {}));
    return device;
}

inline std::unique_ptr<Volume> mount(BlockDevice& device, MountOptions options = quiet_mount()) {
    auto volume = Volume::open(std::make_unique<BorrowedDevice>(device), options);
    EXO_REQUIRE_OK(volume);
    return std::move(*volume);
}

inline void require_sound(BlockDevice& device) {
    auto report = fsck_check(device);
    EXO_REQUIRE_OK(report);
    for (const auto& problem : report->problems) MESSAGE("fsck: " << problem);
    REQUIRE(report->problems.empty());
}

inline std::span<const std::byte> bytes_of(const std::string& text) {
    return std::as_bytes(std::span(text));
}

inline Ino make_file(Volume& volume, Ino parent, const std::string& name) {
    auto attr = volume.create(parent, name, S_IFREG | 0644, 0, 0);
    EXO_REQUIRE_OK(attr);
    return attr->ino;
}

inline std::string read_all(Volume& volume, Ino ino) {
    auto attr = volume.getattr(ino);
    EXO_REQUIRE_OK(attr);
    std::string content(attr->size, '?');
    auto got = volume.read(ino, 0, std::as_writable_bytes(std::span(content)));
    EXO_REQUIRE_OK(got);
    REQUIRE(*got == content.size());
    return content;
}

struct QuietLog {
    QuietLog() {
        set_log_sink([](LogLevel, std::string_view) {});
    }
};

}  // namespace exo::test
