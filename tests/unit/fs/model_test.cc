// SPDX-License-Identifier: MIT
// Random operations on a volume and on a model of std::map; both must always agree, over remounts
// and crashes right after a sync. EXO_TEST_SEED repeats a run.
#include <cstdlib>
#include <map>
#include <random>

#include "tests/support/volume_fixture.h"

using namespace exo;
using namespace exo::test;

namespace {

struct Model {
    std::map<std::string, std::string> files;  // path of one level: directory/name
};

void run_model(uint64_t seed, int steps) {
    INFO("EXO_TEST_SEED=" << seed);
    std::mt19937_64 random(seed);
    MemoryDevice device = fresh_image(32u << 20);
    auto v = mount(device);
    Model model;
    std::vector<Ino> dirs;
    auto look_up_dirs = [&] {
        dirs.clear();
        for (int d = 0; d < 3; d++) {
            auto attr = v->lookup(kRootIno, "d" + std::to_string(d));
            EXO_REQUIRE_OK(attr);
            dirs.push_back(attr->ino);
        }
    };
    for (int d = 0; d < 3; d++)
        EXO_REQUIRE_OK(v->mkdir(kRootIno, "d" + std::to_string(d), 0755, 0, 0));
    look_up_dirs();
    auto check_all = [&] {
        size_t count = 0;
        for (size_t d = 0; d < dirs.size(); d++) {
            auto entries = v->readdir(dirs[d], 0, 100000);
            EXO_REQUIRE_OK(entries);
            for (const auto& entry : *entries) {
                if (entry.name[0] == '.') continue;
                count++;
                auto it = model.files.find(std::to_string(d) + "/" + entry.name);
                REQUIRE(it != model.files.end());
                REQUIRE(read_all(*v, entry.ino) == it->second);
            }
        }
        REQUIRE(count == model.files.size());
    };
    for (int step = 0; step < steps; step++) {
        const size_t d = random() % 3;
        const std::string name = "n" + std::to_string(random() % 60);
        const std::string path = std::to_string(d) + "/" + name;
        auto found = v->lookup(dirs[d], name);
        REQUIRE(bool(found) == model.files.contains(path));
        const uint64_t offset = random() % 4 ? random() % 60000 : random() % 4 * 4096;
        const uint64_t length = random() % 3 ? random() % 20000 : 4096;
        switch (random() % 10) {
            case 0:
            case 1: {
                auto made = v->create(dirs[d], name, S_IFREG | 0644, 0, 0);
                REQUIRE(bool(made) == !found);
                if (made) v->close_ref(made->ino);
                model.files.try_emplace(path);
                break;
            }
            case 2:
                REQUIRE(bool(v->unlink(dirs[d], name)) == bool(found));
                model.files.erase(path);
                break;
            case 3: {
                const size_t to = random() % 3;
                const std::string new_name = "n" + std::to_string(random() % 60);
                const bool done =
                    bool(v->rename(dirs[d], name, dirs[to], new_name, RenameMode::kReplace));
                REQUIRE(done == bool(found));
                if (done) {
                    std::string content = model.files[path];
                    model.files.erase(path);
                    model.files[std::to_string(to) + "/" + new_name] = content;
                }
                break;
            }
            case 4:
                if (!found) break;
                EXO_REQUIRE_OK(v->truncate(found->ino, offset));
                model.files[path].resize(offset);
                break;
            case 5: {
                if (!found || length == 0) break;
                std::string& content = model.files[path];
                const auto mode = random() % 3;
                EXO_REQUIRE_OK(v->fallocate(found->ino,
                                            mode == 0   ? FallocateMode::kAllocate
                                            : mode == 1 ? FallocateMode::kPunchHole
                                                        : FallocateMode::kZeroRange,
                                            offset, length, mode == 1));
                if (mode != 1 && content.size() < offset + length) content.resize(offset + length);
                if (mode != 0)
                    for (uint64_t i = offset; i < std::min(offset + length, content.size()); i++)
                        content[i] = '\0';
                break;
            }
            default: {
                if (!found) break;
                std::string data(length, '\0');
                for (char& c : data) c = char(random());
                EXO_REQUIRE_OK(v->write(found->ino, offset, bytes_of(data)));
                std::string& content = model.files[path];
                if (length > 0 && content.size() < offset + length) content.resize(offset + length);
                content.replace(offset, length, data);
                if (length == 0) break;
                REQUIRE(read_all(*v, found->ino) == content);
                break;
            }
        }
        if (found) v->close_ref(found->ino);
        if (random() % 200 == 0) {
            check_all();
            if (random() % 2) {
                EXO_REQUIRE_OK(v->close());
            } else {
                EXO_REQUIRE_OK(v->sync());
                MemoryDevice crashed(device);
                EXO_REQUIRE_OK(v->close());
                v.reset();
                device.become(crashed);
            }
            require_sound(device);
            v = mount(device);
            look_up_dirs();
            check_all();
        }
    }
    check_all();
    EXO_REQUIRE_OK(v->close());
    require_sound(device);
}

}  // namespace

TEST_CASE("random operations agree with a model") {
    const QuietLog quiet;
    if (const char* seed = getenv("EXO_TEST_SEED"))
        return run_model(strtoull(seed, nullptr, 0), 6000);
    for (uint64_t seed = 1; seed <= 4; seed++) run_model(seed, 3000);
}
